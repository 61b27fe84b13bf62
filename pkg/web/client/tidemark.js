// Follows a feed of Tidemark: keeps its position over reloads, reconnects, and reports gaps.
// One file without dependencies, for browsers, webviews and Node.
// README.md shows how to use it; tidemark.d.ts documents each option.

// Limit of the events queued for a handler, in characters, where the sender cannot be slowed down.
const MAX_WAITING = 4e6;
// The largest event, in characters.
const MAX_EVENT = 16e6;
// The longest wait of a poll, in seconds. Proxies often close requests after 30 s.
const MAX_POLL = 25;

const fail = (message, more) => Object.assign(new Error(message), more);
const join = (url, pairs) => pairs.length ? url + (url.includes('?') ? '&' : '?') + pairs.join('&') : url;
const pair = (name, value) => name + '=' + encodeURIComponent(value);
const isControl = event => event.type.startsWith('tidemark.');
// The end of a connection with until: 'end', on each transport.
const END = { type: 'tidemark.end', data: '{}', id: '' };

// Reports whether the position `id` is not beyond `mine`. Positions of two incarnations of a stream
// cannot be compared.
function covers(mine, id) {
  const [a, b] = [mine, id].map(text => /^0*(\d+)(.*)$/.exec(text));
  return mine === id || !!a && !!b && a[2] === b[2] && !less(a[1], b[1]);
}

// Compares sequences as text: numbers are not exact beyond 2^53.
const less = (a, b) => a.length === b.length ? a < b : a.length < b.length;

// Reports whether a published event was handled already. Control events are always delivered.
const repeats = (mine, event) => !!event.id && !isControl(event) && covers(mine, event.id);

// After a stream was rolled back, its new events reuse sequences. Then the position moves back.
const rewinds = event => event.type === 'tidemark.gap' && JSON.parse(event.data).reason === 'future';

// Returns the position after an event, for a client at the position `mine`.
function after(mine, event) {
  return event.id && (rewinds(event) || !covers(mine, event.id)) ? event.id : mine;
}

const META = 'tidemark.meta ';
const BINARY = 'data:application/octet-stream;base64,';

// Parses the wire format (WHATWG HTML, 9.2.6): it takes text in pieces and yields events.
function parser() {
  let rest = '', cr = false, type = '', data = '', id = '', meta = {};
  return function* (text, retry) {
    if (!text) return;
    if (cr && text[0] === '\n') text = text.slice(1);
    cr = text.endsWith('\r');
    // Searches the new text only, because a large event arrives in many pieces.
    const lines = text.split(/\r\n|\r|\n/);
    lines[0] = rest + lines[0];
    rest = lines.pop();
    if (rest.length + data.length > MAX_EVENT) throw fail('an event is too large', { final: true });
    for (const line of lines) {
      const [, name, value] = /^([^:]*):? ?([^]*)$/.exec(line);
      if (name === 'data') data += value + '\n';
      else if (name === 'event') type = value;
      else if (name === 'id' && !value.includes('\0')) id = value;
      else if (name === 'retry' && /^\d+$/.test(value)) retry(+value);
      else if (!name && value.startsWith(META)) meta = JSON.parse(value.slice(META.length)); // ?meta=1 sends it before an event
      else if (!line) {
        if (data) {
          yield { type: type || 'message', data: data.slice(0, -1), id, ...meta.subject && { subject: meta.subject, time: new Date(meta.stored_ms).toISOString() } };
          meta = {};
        }
        type = data = id = '';
      }
    }
  };
}

// Returns the JSON text of the data of each event of a page. After JSON.parse, numbers beyond 2^53 and the
// order of some keys would be lost.
function dataTexts(page) {
  const texts = [], start = [];
  for (let i = 0, depth = 0, quoted, text; i < page.length; i++) {
    const c = page[i];
    if (c === '"') quoted = !quoted;
    else if (quoted) i += c === '\\';
    else if (c === '{' || c === '[') start[++depth] = i + 1;
    else if (c === ',' || c === '}' || c === ']') {
      const inEvent = depth === 3 && /^[^:]*"events"/.test(page.slice(start[1], start[2]));
      const [, value] = inEvent && /^\s*"data"\s*:([^]*)/.exec(page.slice(start[3], i)) || [];
      if (value) text = value;
      if (c === ',') start[depth] = i + 1;
      else {
        if (inEvent) {
          texts.push(text);
          text = undefined;
        }
        depth--;
      }
    }
  }
  return texts;
}

// Returns the data of a CloudEvent as a stream would have it: with LF as its only line end, and as a data URL
// if it is not text, or is text that looks like such a URL.
function dataOf({ data, data_base64, datacontenttype }, text) {
  if (data_base64) return BINARY + data_base64;
  data = ((typeof data === 'string' && !/json/i.test(datacontenttype) ? data : text) || '').replace(/\r\n?/g, '\n');
  return data.startsWith(BINARY) ? BINARY + btoa(unescape(encodeURIComponent(data))) : data;
}

// Converts a page of CloudEvents to events with the same fields as those of a stream.
function parsePage(text) {
  const page = JSON.parse(text), texts = dataTexts(text);
  page.events = page.events.map((event, i) => ({ type: event.type, data: dataOf(event, texts[i]), id: event.id, subject: event.subject, time: event.time }));
  return page;
}

// Returns the event within the data of ?envelope=1. Nodes of older versions send the event itself.
function unwrap(event) {
  try {
    const [inner] = parsePage(`{"events":[${event.data}]}`).events;
    if (inner.id === event.id) return inner;
  } catch { /* no envelope */ }
  return event;
}

// A bounded queue with one reader. push returns false if the queue is full or ended.
function mailbox() {
  let items = [], size = 0, over = false, error, wake = () => {};
  return {
    push(event) {
      if (over || items.length && size > MAX_WAITING) return false;
      size += event.data.length + 500; // with an estimate of the memory besides the data
      items.push(event);
      wake();
      return true;
    },
    end(reason) {
      over = true;
      error = error || reason;
      wake();
    },
    async *[Symbol.asyncIterator]() {
      for (;;) {
        const batch = items;
        items = [];
        for (const event of batch) {
          size -= event.data.length + 500;
          yield event;
        }
        if (items.length) continue;
        if (error) throw error;
        if (over) return;
        await new Promise(done => { wake = done; });
      }
    },
  };
}

// One connection over fetch. It does not read while a handler runs, so that a slow handler slows
// down the server instead of filling the memory.
async function* viaFetch({ request, signal, heard, opened, retry }) {
  const response = await request('text/event-stream', 'heartbeat=event', 'meta=1');
  if (!response) return yield END;
  opened();
  const parse = parser();
  for await (const text of pieces(response, signal, heard)) yield* parse(text, retry);
  throw fail('the server closed the connection');
}

// Reads the text of a response as it arrives.
async function* pieces({ body }, signal, received) {
  const reader = body.getReader(), decoder = new TextDecoder();
  // Some implementations of fetch ignore the signal after the response has started.
  signal.addEventListener('abort', () => reader.cancel().catch(() => {}));
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    received();
    yield decoder.decode(value, { stream: true });
  }
}

// One request after the other, for networks that hold streams back. Each returns a page of events; the server
// waits for the first one. The first request does not wait, so that it shows whether the server answers.
async function* viaPolls({ request, signal, received, opened, wait, interval, polling, account }) {
  for (let seconds = 0; polling(); seconds = wait) {
    const begun = stopwatch(), response = await request('application/json', 'limit=1000', 'wait=' + seconds);
    if (!response) return yield END;
    let text = '';
    if (response.body) for await (const piece of pieces(response, signal, received)) text += piece; // may be slow
    else text = await response.text();
    const { events, gaps, position, more, complete, identity_changed } = parsePage(text);
    if (identity_changed) account();
    opened();
    const control = (type, data, id) => ({ type: 'tidemark.' + type, data: JSON.stringify(data), id });
    for (const gap of gaps) yield control('gap', gap, gap.continues_after);
    yield* events;
    yield control('position', { position }, position);
    if (complete) return yield END;
    // The pause collects the events of a busy feed, and bounds the requests if an answer comes too early.
    if (!more || !events.length) await new Promise(done => {
      const timer = setTimeout(done, seconds && interval - begun());
      signal.addEventListener('abort', () => done(clearTimeout(timer)));
    });
  }
}

// Converts an unexpected response to an error. It is final unless a retry may succeed.
async function refusal(response) {
  const { status } = response, problem = /json/.test(response.headers.get('Content-Type')) && await response.json().catch(() => {}) || {};
  return fail(problem.detail || 'the server answered ' + status + ' instead of events', {
    status, problem, asked: 1000 * response.headers.get('Retry-After') || 0,
    final: status < 500 && ![408, 425, 429].includes(status),
  });
}

// One connection over EventSource. It delivers registered event types only, and does not give the
// reason for a failed connect.
async function* viaEventSource({ source: open, types, signal, heard, opened }) {
  const source = open(), box = mailbox();
  let answered = false;
  const end = reason => {
    source.close();
    box.end(fail(reason, { unanswered: !answered }));
  };
  const enqueue = e => {
    heard();
    const event = { type: e.type, data: e.data, id: e.lastEventId };
    if (!box.push(isControl(event) ? event : unwrap(event))) end('the queue of unhandled events is full');
  };
  for (const type of ['message', 'open', 'gap', 'position', 'close'].map((t, i) => i ? 'tidemark.' + t : t).concat(types)) source.addEventListener(type, enqueue);
  source.onopen = () => {
    answered = true;
    opened();
  };
  source.onerror = () => end('the connection was lost or rejected');
  signal.addEventListener('abort', source.onerror);
  try {
    yield* box;
  } finally {
    source.close();
  }
}

// Returns the subject of a JWT, as a part of the storage key. The server verifies the token.
function subjectOf(token) {
  try {
    return JSON.parse(atob(token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/'))).sub;
  } catch { /* no JWT */ }
}

// Browsers that block the storage throw as soon as the property is read.
function localStorage() {
  try {
    return globalThis.localStorage;
  } catch { /* use memory */ }
}

function streamingFetch() {
  if (typeof Response === 'function' && 'body' in Response.prototype) return globalThis.fetch;
}

// Returns a function for the milliseconds since its creation. The wall clock runs while a machine
// sleeps, but may be set back. The monotonic clock is never set, but may stop during sleep.
function stopwatch() {
  const wall = Date.now(), steady = performance.now();
  return () => Math.max(Date.now() - wall, performance.now() - steady);
}

// A loop with functions to stop it and to end its waits.
function newTask() {
  let end = () => {};
  const task = {
    stopped: false,
    abort() {}, // ends the current step; the loop continues
    check() {}, // called when the page becomes active
    // Resolves after ms (0 means no timer), on stop, and on wake unless `patient` is set.
    wait: (ms, patient) => new Promise(done => {
      const timer = ms && setTimeout(done, ms);
      end = force => {
        if (patient && !force) return;
        clearTimeout(timer);
        done();
      };
    }),
    wake: () => end(),
    stop() {
      task.stopped = true;
      task.abort('the client was closed');
      end(true);
    },
  };
  return task;
}

// One connection for all tabs. The tab that holds the lock has the connection, and posts each event
// with the position before it. A tab at that position accepts the event. A tab behind it (because it is
// new, was asleep, or has a slow handler) catches up over a connection of its own, until it reaches the
// posted position.
async function share({ self, follow, deliver, setState, idleTimeout }) {
  const { key } = self, channel = new BroadcastChannel(key), member = newTask();
  // The client was closed, or its account changed.
  const over = () => self.closed || self.key !== key;
  let box = mailbox(), seen = self.position, level = true, catching, leading, alone, at, steal, candidate, ended, silence = stopwatch();

  const lag = () => {
    level = false;
    box.end();
  };
  const catchUp = () => {
    catching = newTask();
    return follow(catching, () => self.position, deliver, (state, more) => alone && setState(state, more));
  };
  const rejoin = mine => {
    level = true;
    seen = mine;
    box = mailbox();
    if (catching) catching.stop();
  };
  const receive = ({ hello, state, more, before, event }) => {
    if (over()) return;
    silence = stopwatch();
    if (hello) return leading && post({});
    setState(state, more);
    const mine = level ? seen : self.position;
    if (mine && !covers(mine, before)) return level && lag();
    if (!level) rejoin(mine);
    if (!event || repeats(seen, event)) return;
    if (!box.push(event)) return lag();
    seen = after(seen, event);
    if (event.type === END.type) ended = true;
  };
  const post = message => {
    message = { state: self.state, before: at, ...message };
    channel.postMessage(message);
    receive(message);
  };
  channel.onmessage = e => receive(e.data);

  const lead = task => follow(task, () => at, event => {
    post({ event });
    at = after(at, event);
  }, (state, more) => post({ state, more: more && { delay: more.delay, error: { message: more.error.message } } }));

  const seekLead = async () => {
    while (!over() && !ended) {
      if (self.asleep) await member.wait(0);
      const task = newTask(), options = steal ? { steal } : { signal: (candidate = new AbortController()).signal };
      steal = false;
      try {
        await navigator.locks.request(key, options, async () => {
          if (over() || self.asleep || ended) return;
          leading = task;
          at = level ? seen : self.position;
          await lead(task);
          // At the end, no other tab becomes the leader before the tabs have received the end. Browsers give no order
          // between a lock and a message.
          if (ended) await new Promise(done => setTimeout(done, 1000));
        });
      } catch (error) {
        if (error.name !== 'AbortError') { // such as in a sandbox
          alone = true;
          return lag();
        }
      }
      leading = undefined;
      task.stop(); // the lock may have been taken away
    }
  };

  // Takes the lock from a leader that has posted nothing for 1.5 * idleTimeout.
  const watch = () => {
    if (leading || self.asleep || silence() < 1.5 * idleTimeout) return;
    silence = stopwatch();
    steal = true;
    candidate.abort();
  };
  const timer = setInterval(watch, idleTimeout * (1 + Math.random()) / 4);
  member.abort = () => {
    if (candidate) candidate.abort();
    if (leading) leading.stop();
    if (over()) {
      if (catching) catching.stop();
      box.end();
    }
  };
  member.check = () => {
    silence = stopwatch();
    channel.postMessage({ hello: true });
  };

  self.tasks.add(member);
  self.leave = member.stop;
  const sought = seekLead();
  member.check();
  try {
    while (!over()) {
      if (!level) await catchUp();
      else for await (const event of box) {
        await deliver(event);
        if (over()) break;
      }
    }
  } finally {
    self.tasks.delete(member);
    clearInterval(timer);
    await sought;
    channel.close();
  }
}

function oneOf(name, value, ...allowed) {
  if (!allowed.includes(value)) throw new TypeError(`${name}: '${value}' is not one of ${allowed.join(', ')}`);
}

export function connect(address, options = {}) {
  const {
    subjects = [], only, from, until, token, identity, headers, credentials = 'same-origin', types = [], shared, signal,
    transport = 'auto', firstByteTimeout = 5000, streamRetry = 300000,
    minBackoff = 500, maxBackoff = 30000, idleTimeout = 45000,
    fetch = streamingFetch(), EventSource = globalThis.EventSource,
    onEvent, onOpen, onGap, onClose, onEnd, onState, onError = console.error,
  } = options;
  oneOf('transport', transport, 'auto', 'stream', 'poll');
  oneOf('credentials', credentials, 'omit', 'same-origin', 'include');
  oneOf('until', until || 'end', 'end');
  const { document, location } = globalThis;
  const handlers = { 'tidemark.open': onOpen, 'tidemark.gap': onGap, 'tidemark.close': onClose, [END.type]: onEnd };
  // Polls and requests for the account do not need a fetch that streams.
  const anyFetch = fetch || globalThis.fetch, canStream = fetch || EventSource;
  const url = join((location ? new URL(address, location.href).href : '' + address).split('#')[0],
    [...subjects].sort().map(s => pair('subject', s)).concat(only ? 'only=1' : [], until ? pair('until', until) : []));
  const self = { tasks: new Set(), state: undefined, position: undefined, key: undefined, closed: false, asleep: false };
  const unlisten = [], handling = newTask();
  let bearer, reason, tag, mute = 0, polled, storage = 'storage' in options ? options.storage : localStorage();

  const notify = (handler, ...args) => {
    try {
      if (handler) handler(...args);
    } catch (error) { console.error(error); }
  };
  const setState = (state, more) => {
    if (self.state === 'closed' || self.state === state) return;
    self.state = state;
    notify(onState, state, more);
  };
  // Decorrelated jitter: clients that lost the same server reconnect at different times. The first pause
  // sent by the server is random already, and is extended by at most half of it.
  const backoff = (last, floor) => {
    const low = Math.min(Math.max(minBackoff, floor), maxBackoff);
    const high = !last && floor >= minBackoff ? 1.5 * low : 3 * Math.max(low, last);
    return low + Math.random() * (Math.min(high, maxBackoff) - low);
  };

  // ---- the position

  // After an error of the storage, the position is kept in memory.
  const stored = async use => {
    try {
      return storage ? await use(storage) : undefined;
    } catch (error) {
      storage = undefined;
      notify(onError, error);
    }
  };
  const authorize = async () => {
    if (!bearer) bearer = typeof token === 'function' ? await token(reason) : token;
    if (self.key) return;
    if (tag === undefined) tag = await account();
    const key = ['tidemark', [identity || (tag ? '' : subjectOf(bearer)), tag].filter(Boolean).join(' '), url].join(' ');
    self.position = await stored(s => s.getItem(key)) || undefined;
    self.key = key;
  };
  // Requests the server's tag of the account, at `identity` next to the feed, with the headers and cookies
  // of the feed's requests. Without a tag (an older server) the option and the token separate accounts.
  const account = async () => {
    if (!anyFetch) return '';
    const late = new AbortController(), timer = setTimeout(() => late.abort(), idleTimeout);
    try {
      const response = await anyFetch(url.replace(/[^/?]*(\?|$)/, 'identity$1'), { headers: authorized({ Accept: 'application/json' }), credentials, signal: late.signal, cache: 'no-store' });
      if (response.ok) return (await response.json()).identity || '';
      const error = await refusal(response);
      if (error.final && error.status !== 401) return '';
      throw error;
    } finally {
      clearTimeout(timer);
    }
  };
  const authorized = more => ({ ...more, ...headers, ...bearer && { Authorization: 'Bearer ' + bearer } });
  // Handles a change of the account. The new connection must neither continue at the position of the
  // old account nor be shared with its tabs.
  const changeAccount = now => {
    tag = now;
    self.key = undefined;
    if (self.leave) self.leave();
    throw fail('another account has signed in');
  };
  // Another tab with the same key may have stored a later position.
  const save = event => stored(async s => {
    if (rewinds(event) || !covers(await s.getItem(self.key), self.position)) await s.setItem(self.key, self.position);
  });
  const handle = async event => {
    const control = isControl(event), handler = control ? handlers[event.type] : onEvent;
    for (let pause = 0; handler;) {
      try {
        return await handler(control ? JSON.parse(event.data) : event);
      } catch (error) {
        if (error.unhandled) throw error;
        notify(onError, error, event);
        await handling.wait(pause = backoff(pause, 0), true);
        if (self.closed) throw error; // the event stays unhandled
      }
    }
  };
  const deliver = async event => {
    if (self.closed || repeats(self.position, event)) return;
    await handle(event);
    if (event.type === END.type) stop();
    const next = after(self.position, event);
    if (next === self.position) return;
    self.position = next;
    await save(event);
  };

  // ---- connections

  // Reports whether the next request is a poll. After two streams without a byte, 'auto' polls until it is
  // time to try a stream again.
  const polling = () => !!anyFetch && (transport === 'poll' || !canStream || transport === 'auto' && mute > 1 && polled() < streamRetry);
  // Follows the feed from the position `at()` until the task is stopped. It passes events to `accept` and
  // states to `show`.
  const follow = async (task, at, accept, show) => {
    let pause = 0, floor = 0, renewed = false;
    self.tasks.add(task);
    while (!task.stopped) {
      if (self.asleep) {
        await task.wait(0);
        continue;
      }
      const lasted = stopwatch(), start = at();
      const end = { asked: 0, retry: ms => { floor = ms; }, opened: () => { renewed = false; show('open'); } };
      show('connecting');
      const error = await session(task, at, accept, end);
      if (task.stopped) break;
      if (error.mute) {
        mute++;
        polled = stopwatch();
      }
      if (error.again || error.mute && polling()) continue;
      if (end.expired || error.status === 401 && typeof token === 'function' && !renewed) {
        bearer = '';
        reason = end.expired || 'rejected';
        renewed = reason !== 'token-expired';
        if (!end.expired) continue;
      } else if (error.unanswered && typeof token === 'function') {
        // EventSource does not distinguish a 401 from a node that is down. The token may have expired
        // between two connections.
        bearer = '';
        reason = 'rejected';
      } else if (error.final) {
        stop(error);
        break;
      }
      if (at() !== start || lasted() > maxBackoff) pause = 0;
      pause = backoff(pause, Math.max(error.asked || end.asked, floor));
      show('waiting', { error, delay: pause });
      await task.wait(pause, error.asked || end.patient);
    }
    self.tasks.delete(task);
  };

  // Runs one connection. Resolves with the reason for its end.
  const session = async (task, at, accept, end) => {
    const over = new AbortController(), polls = polling();
    let silence, cause, timer, first, reading = false;
    const received = () => { silence = stopwatch(); };
    task.abort = (reason, more) => {
      cause = cause || fail(reason, more);
      over.abort();
    };
    // Also called when the page becomes active, because timers stop while a machine sleeps.
    task.check = () => {
      if (reading && silence() > idleTimeout) task.abort('idle timeout: no data from the server');
    };
    // The first data of a stream; the headers alone may pass a proxy that holds back the body.
    const heard = () => {
      received();
      clearTimeout(first);
      mute = 0;
    };
    try {
      await authorize();
      if (cause) return cause;
      timer = setInterval(task.check, idleTimeout / 4);
      if (transport === 'auto' && anyFetch && !polls) first = setTimeout(() => task.abort('first byte timeout: no data from the server', { mute: true }), firstByteTimeout);
      received();
      reading = true;
      for await (let event of (polls ? viaPolls : fetch ? viaFetch : viaEventSource)({ ...end, ...requests(at, over.signal, received), received, heard })) {
        if (cause) break;
        reading = false;
        const control = isControl(event) && JSON.parse(event.data);
        if (event.type === 'tidemark.open' && tag && control.identity && control.identity !== tag) changeAccount(control.identity);
        if (event.type === 'tidemark.close' && control.reason === 'complete') event = END;
        await accept(event);
        if (event === END) task.stop();
        if (event.type === 'tidemark.close') leave(control, end, task);
        if (cause) break;
        received();
        reading = true;
      }
    } catch (error) {
      return cause || error;
    } finally {
      clearInterval(timer);
      clearTimeout(first);
      over.abort();
    }
    return cause || { again: true };
  };

  // The requests of a connection at the position `at()`.
  const requests = (at, signal, received) => {
    const urlOf = (...pairs) => {
      const start = at();
      if (!start && from) pairs.push(pair('from', from));
      if (tag && (start || polling())) pairs.push(pair('identity', tag));
      return join(url, pairs);
    };
    // Returns the response, or undefined after the end of a connection with until: 'end'.
    const request = async (type, ...pairs) => {
      const start = at(), response = await anyFetch(urlOf(...pairs), {
        headers: authorized({ Accept: type, ...start && { 'Last-Event-ID': start } }), credentials, signal, cache: 'no-store',
      });
      received();
      if (response.status === 204 && until) return;
      if (response.status !== 200 || !('' + response.headers.get('Content-Type')).toLowerCase().startsWith(type)) throw await refusal(response);
      return response;
    };
    // EventSource sends no headers.
    const source = () => {
      const start = at(), more = [start && pair('last_event_id', start), bearer && pair('access_token', bearer)].filter(Boolean);
      return new EventSource(urlOf('heartbeat=event', 'envelope=1', ...more), { withCredentials: credentials === 'include' });
    };
    return { request, source, types, signal, polling, account: changeAccount, interval: minBackoff, wait: Math.max(1, Math.floor(Math.min(MAX_POLL, idleTimeout / 2000))) };
  };

  // Handles tidemark.close. The client closes the connection too, because a proxy may keep it open.
  const leave = ({ reason, retry_ms, message }, end, task) => {
    task.abort(message);
    end.asked = retry_ms;
    end.patient = ['overload', 'limit', 'revoked'].includes(reason);
    if (['token-expired', 'revoked'].includes(reason)) end.expired = reason;
  };

  // ---- the life of the page

  const stop = error => {
    if (self.closed) return;
    self.closed = true;
    unlisten.forEach(off => off());
    self.tasks.forEach(task => task.stop());
    setState('closed', error && { error });
    if (error) notify(onError, error);
  };
  // A frozen or hidden page closes its connection, as it cannot read events.
  const sleep = () => {
    self.asleep = true;
    self.tasks.forEach(task => task.abort('the page sleeps', { again: true }));
  };
  const wake = () => {
    if (self.closed) return;
    self.asleep = false;
    self.tasks.forEach(task => {
      task.wake();
      task.check();
    });
  };
  const listen = (target, type, then) => {
    if (!target || !target.addEventListener) return;
    target.addEventListener(type, then);
    unlisten.push(() => target.removeEventListener(type, then));
  };
  const run = async () => {
    if (!shared || !globalThis.BroadcastChannel || !(globalThis.navigator || '').locks) {
      return follow(newTask(), () => self.position, deliver, setState);
    }
    for (let pause = 0, refused; !self.closed;) {
      try {
        await authorize();
      } catch (error) {
        if (error.status === 401) {
          if (refused || typeof token !== 'function') throw error;
          bearer = '';
          reason = refused = 'rejected';
          continue;
        }
        setState('waiting', { error, delay: pause = backoff(pause, error.asked) });
        await handling.wait(pause);
        continue;
      }
      refused = '';
      if (!self.closed) await share({ self, follow, deliver, setState, idleTimeout });
      if (!self.closed) await handling.wait(pause = backoff(pause, 0)); // the account changed
    }
  };

  self.tasks.add(handling);
  listen(globalThis, 'online', () => {
    mute = Math.min(mute, 1); // another network may pass streams
    wake();
  });
  listen(globalThis, 'pageshow', wake);
  listen(globalThis, 'pagehide', sleep);
  listen(document, 'freeze', sleep);
  listen(document, 'resume', wake);
  listen(document, 'visibilitychange', () => document.visibilityState === 'visible' && wake());
  listen(signal, 'abort', () => stop());
  setState('connecting');
  if (signal && signal.aborted) stop();
  const running = self.closed ? Promise.resolve() : run().catch(stop);

  return {
    get state() { return self.state; },
    get position() { return self.position; },
    wake,
    close() {
      stop();
      return running;
    },
  };
}

// Follows a feed in a loop: for await (const event of read(url, options)). An event is handled when the loop
// requests the next one. If the loop ends inside its body, the event stays unhandled.
export async function* read(address, options = {}) {
  let item, handled, abandon = () => {}, end, wake = () => {};
  const live = connect(address, {
    onError: error => error.final || console.error(error),
    ...options,
    onEvent: event => new Promise((...settle) => {
      item = event;
      [handled, abandon] = settle;
      wake();
    }),
    onState(state, more = {}) {
      if (state === 'closed') end = more;
      wake();
      if (options.onState) options.onState(state, more);
    },
  });
  try {
    while (!end) {
      if (item) {
        const event = item;
        item = undefined;
        yield event;
        handled();
      } else await new Promise(done => { wake = done; });
    }
    if (end.error) throw end.error;
  } finally {
    const closed = live.close();
    abandon(fail('the loop has ended', { unhandled: true }));
    await closed;
  }
}
