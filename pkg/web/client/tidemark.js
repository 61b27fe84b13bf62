// Follows a feed of Tidemark: keeps its place over reloads, comes back, and tells of losses.
// One file without dependencies, for browsers, webviews and Node.
// README.md beside it shows how to use it, tidemark.d.ts says what each option means.

// What waits in memory for a handler, in characters, where the sender cannot be held back.
const MAX_WAITING = 4e6;
// The largest event, in characters.
const MAX_EVENT = 16e6;

const fail = (message, more) => Object.assign(new Error(message), more);
const join = (url, pairs) => pairs.length ? url + (url.includes('?') ? '&' : '?') + pairs.join('&') : url;
const pair = (name, value) => name + '=' + encodeURIComponent(value);
const isControl = event => event.type.startsWith('tidemark.');

// Whether who has everything up to the position `mine` has what lies at `id`, too. Positions
// of two incarnations of a stream cannot be compared.
function covers(mine, id) {
  const [a, b] = [mine, id].map(text => /^0*(\d+)(.*)$/.exec(text));
  return mine === id || !!a && !!b && a[2] === b[2] && !less(a[1], b[1]);
}

// Compares sequences as text: numbers are not exact beyond 2^53.
const less = (a, b) => a.length === b.length ? a < b : a.length < b.length;

// A published event that was handled already. Control events are told whenever they come.
const repeats = (mine, event) => !!event.id && !isControl(event) && covers(mine, event.id);

// A stream that was rolled back goes on with numbers that there were before.
const rewinds = event => event.type === 'tidemark.gap' && JSON.parse(event.data).reason === 'future';

// The position of who was at `mine`, once an event is handled.
function after(mine, event) {
  return event.id && (rewinds(event) || !covers(mine, event.id)) ? event.id : mine;
}

// Reads the wire format (WHATWG HTML, 9.2.6): text in pieces, events out.
function parser() {
  let rest = '', cr = false, type = '', data = '', id = '';
  return function* (text, retry) {
    if (!text) return;
    if (cr && text[0] === '\n') text = text.slice(1);
    cr = text.endsWith('\r');
    // Only the new text is searched: a large event comes in many pieces.
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
      else if (!line) {
        if (data) yield { type: type || 'message', data: data.slice(0, -1), id };
        type = data = id = '';
      }
    }
  };
}

// What is pushed comes out in order, for one reader; an end comes last. push says whether
// there was room.
function mailbox() {
  let items = [], size = 0, over = false, error, wake = () => {};
  return {
    push(event) {
      if (over || items.length && size > MAX_WAITING) return false;
      size += event.data.length + 500; // a guess at what an event costs besides
      items.push(event);
      wake();
      return true;
    },
    end(why) {
      over = true;
      error = error || why;
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

// One connection by fetch. Nothing is read while the reader is busy, so that a slow handler
// slows the server rather than fills the memory.
async function* viaFetch({ fetch, url, headers, credentials, signal, beat, opened, retry }) {
  const response = await fetch(url, { headers, credentials, signal, cache: 'no-store' });
  beat();
  if (response.status !== 200 || !/^text\/event-stream\b/i.test(response.headers.get('Content-Type'))) throw await refusal(response);
  opened();
  const reader = response.body.getReader(), decoder = new TextDecoder(), parse = parser();
  // Some implementations of fetch do not heed the signal any more once they have answered.
  signal.addEventListener('abort', () => reader.cancel().catch(() => {}));
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw fail('the server ended the stream');
    beat();
    yield* parse(decoder.decode(value, { stream: true }), retry);
  }
}

// What is no stream. Only some answers may differ when the same is asked again.
async function refusal(response) {
  const { status } = response, problem = await response.json().catch(() => ({}));
  return fail(problem.detail || 'the server answered ' + status + ' and no event stream', {
    status, problem, asked: 1000 * response.headers.get('Retry-After') || 0,
    final: status < 500 && ![408, 425, 429].includes(status),
  });
}

// One connection by EventSource, which tells only of types that it is asked for, and not why
// it was refused.
async function* viaEventSource({ EventSource, url, types, credentials, signal, beat, opened }) {
  const source = new EventSource(url, { withCredentials: credentials === 'include' }), box = mailbox();
  let answered = false;
  const end = why => {
    source.close();
    box.end(fail(why, { unanswered: !answered }));
  };
  const take = e => {
    beat();
    if (!box.push({ type: e.type, data: e.data, id: e.lastEventId })) end('too much waits to be handled');
  };
  for (const type of ['message', 'open', 'gap', 'position', 'close'].map((t, i) => i ? 'tidemark.' + t : t).concat(types)) source.addEventListener(type, take);
  source.onopen = () => {
    answered = true;
    opened();
  };
  source.onerror = () => end('the connection was lost or refused');
  signal.addEventListener('abort', source.onerror);
  try {
    yield* box;
  } finally {
    source.close();
  }
}

// Whom a token is about. The server checks it; here it only names a place in the storage.
function subjectOf(token) {
  try {
    return JSON.parse(atob(token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/'))).sub;
  } catch { /* no JWT */ }
}

// A browser may forbid its storage, and then throws at the mere look.
function localStorage() {
  try {
    return globalThis.localStorage;
  } catch { /* memory, then */ }
}

function streamingFetch() {
  if (typeof Response === 'function' && 'body' in Response.prototype) return globalThis.fetch;
}

// Returns a function that says how many milliseconds ago it was made. The wall clock goes on while
// a machine sleeps, and may be set back; the other one may stand still, and is never set.
function stopwatch() {
  const wall = Date.now(), steady = performance.now();
  return () => Math.max(Date.now() - wall, performance.now() - steady);
}

// Something that goes on until it is stopped, and now and then waits.
function newTask() {
  let end = () => {};
  const task = {
    stopped: false,
    abort() {}, // ends what it does now; it begins again
    check() {}, // the page has come back to life
    // Resolves after ms (0 is never), when the task is stopped, and unless it is to be patient
    // when it is woken.
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

// One connection for all tabs. The tab that holds the lock has it, and posts each event with
// the position before it. Who has everything up to there takes the event; who has not (it is
// new, it was asleep, its handler is slow) catches up over a connection of its own until it
// is level with what is posted.
async function share({ self, follow, deliver, setState, idleTimeout }) {
  const { key } = self, channel = new BroadcastChannel(key), member = newTask();
  // The client was closed, or is another account's now.
  const over = () => self.closed || self.key !== key;
  let box = mailbox(), seen = self.position, level = true, catching, leading, alone, at, steal, candidate, silence = stopwatch();

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
    if (box.push(event)) seen = after(seen, event);
    else lag();
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
    while (!over()) {
      if (self.asleep) await member.wait(0);
      const task = newTask(), options = steal ? { steal } : { signal: (candidate = new AbortController()).signal };
      steal = false;
      try {
        await navigator.locks.request(key, options, () => {
          if (over() || self.asleep) return;
          leading = task;
          at = level ? seen : self.position;
          return lead(task);
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

  // A leader that is silent for long hangs, and the lock is taken from it.
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

export function connect(address, options = {}) {
  const {
    subjects = [], only, from, token, identity, headers, credentials = 'same-origin', types = [], shared, signal,
    minBackoff = 500, maxBackoff = 30000, idleTimeout = 45000,
    fetch = streamingFetch(), EventSource = globalThis.EventSource,
    onEvent, onOpen, onGap, onClose, onState, onError = console.error,
  } = options;
  const { document, location } = globalThis;
  const handlers = { 'tidemark.open': onOpen, 'tidemark.gap': onGap, 'tidemark.close': onClose };
  const url = join((location ? new URL(address, location.href).href : '' + address).split('#')[0],
    [...subjects].sort().map(s => pair('subject', s)).concat(only ? 'only=1' : []));
  const self = { tasks: new Set(), state: undefined, position: undefined, key: undefined, closed: false, asleep: false };
  const unlisten = [], handling = newTask();
  let bearer, reason, tag, storage = 'storage' in options ? options.storage : localStorage();

  const tell = (handler, ...args) => {
    try {
      if (handler) handler(...args);
    } catch (error) { console.error(error); }
  };
  const setState = (state, more) => {
    if (self.state === 'closed' || self.state === state) return;
    self.state = state;
    tell(onState, state, more);
  };
  // Decorrelated jitter: clients that lost one server at once come back spread out. The first pause that
  // the server asks for is a draw of its own, and spread by half of it alone.
  const backoff = (last, floor) => {
    const low = Math.min(Math.max(minBackoff, floor), maxBackoff);
    const high = !last && floor >= minBackoff ? 1.5 * low : 3 * Math.max(low, last);
    return low + Math.random() * (Math.min(high, maxBackoff) - low);
  };

  // ---- the position

  // A storage that fails is not asked again: the position stays in memory.
  const stored = async use => {
    try {
      return storage ? await use(storage) : undefined;
    } catch (error) {
      storage = undefined;
      tell(onError, error);
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
  // The server's tag of the account: beside the feed, and with what its requests carry. Without one
  // (an older server) the option and the token separate accounts.
  const account = async () => {
    const ask = fetch || globalThis.fetch;
    if (!ask) return '';
    const late = new AbortController(), timer = setTimeout(() => late.abort(), idleTimeout);
    try {
      const response = await ask(url.replace(/[^/?]*(\?|$)/, 'identity$1'), { headers: authorized({ Accept: 'application/json' }), credentials, signal: late.signal, cache: 'no-store' });
      if (response.ok) return (await response.json()).identity || '';
      const error = await refusal(response);
      if (error.final && error.status !== 401) return '';
      throw error;
    } finally {
      clearTimeout(timer);
    }
  };
  const authorized = more => ({ ...more, ...headers, ...bearer && { Authorization: 'Bearer ' + bearer } });
  // Another account has signed in. Its connection must not go on from the position of the first
  // one, nor be shared with its tabs.
  const checkAccount = ({ identity: now }) => {
    if (!tag || !now || now === tag) return;
    tag = now;
    self.key = undefined;
    if (self.leave) self.leave();
    throw fail('another account has signed in');
  };
  // Another tab with the same key may be further.
  const save = event => stored(async s => {
    if (rewinds(event) || !covers(await s.getItem(self.key), self.position)) await s.setItem(self.key, self.position);
  });
  const handle = async event => {
    const control = isControl(event), handler = control ? handlers[event.type] : onEvent;
    for (let pause = 0; handler;) {
      try {
        return await handler(control ? JSON.parse(event.data) : event);
      } catch (error) {
        tell(onError, error, event);
        await handling.wait(pause = backoff(pause, 0), true);
        if (self.closed) throw error; // it is not handled
      }
    }
  };
  const deliver = async event => {
    if (self.closed || repeats(self.position, event)) return;
    await handle(event);
    const next = after(self.position, event);
    if (next === self.position) return;
    self.position = next;
    await save(event);
  };

  // ---- one connection after the other

  // Follows the feed from where `at` says, hands events to `take` and its state to `show`,
  // until the task is stopped.
  const follow = async (task, at, take, show) => {
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
      const error = await session(task, at, take, end);
      if (task.stopped) break;
      if (error.slept) continue;
      if (end.expired || error.status === 401 && typeof token === 'function' && !renewed) {
        bearer = '';
        reason = end.expired || 'rejected';
        renewed = reason !== 'token-expired';
        if (!end.expired) continue;
      } else if (error.unanswered && typeof token === 'function') {
        // EventSource does not tell a 401 from a node that is down; the token may have expired
        // while nobody was connected.
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

  // Resolves with what ended the connection.
  const session = async (task, at, take, end) => {
    const over = new AbortController();
    let silence, cause, timer, reading = false;
    const beat = () => { silence = stopwatch(); };
    task.abort = (why, slept) => {
      cause = cause || fail(why, { slept });
      over.abort();
    };
    // Not by a timer alone: timers stand still while a machine sleeps.
    task.check = () => {
      if (reading && silence() > idleTimeout) task.abort('the server sent nothing for too long');
    };
    try {
      await authorize();
      if (cause) return cause;
      timer = setInterval(task.check, idleTimeout / 4);
      beat();
      reading = true;
      for await (const event of (fetch ? viaFetch : viaEventSource)(requestFor(at(), { ...end, beat, signal: over.signal }))) {
        if (cause) break;
        reading = false;
        if (event.type === 'tidemark.open') checkAccount(JSON.parse(event.data));
        await take(event);
        if (event.type === 'tidemark.close') leave(JSON.parse(event.data), end, task);
        if (cause) break;
        beat();
        reading = true;
      }
    } catch (error) {
      return cause || error;
    } finally {
      clearInterval(timer);
      over.abort();
    }
    return cause;
  };

  const requestFor = (start, more) => {
    const pairs = ['heartbeat=event'], sent = authorized({ Accept: 'text/event-stream' });
    if (!start && from) pairs.push(pair('from', from));
    if (!fetch && start) pairs.push(pair('last_event_id', start));
    if (start && tag) pairs.push(pair('identity', tag));
    if (!fetch && bearer) pairs.push(pair('access_token', bearer));
    if (start) sent['Last-Event-ID'] = start;
    return { fetch, EventSource, url: join(url, pairs), headers: sent, credentials, types, ...more };
  };

  // The server says that it ends the stream. A proxy might keep that to itself.
  const leave = ({ reason, retry_ms, message }, end, task) => {
    task.abort(message);
    end.asked = retry_ms;
    end.patient = ['overload', 'limit', 'revoked'].includes(reason);
    if (['token-expired', 'revoked'].includes(reason)) end.expired = reason;
  };

  // ---- life

  const stop = error => {
    if (self.closed) return;
    self.closed = true;
    unlisten.forEach(off => off());
    self.tasks.forEach(task => task.stop());
    setState('closed', error && { error });
    if (error) tell(onError, error);
  };
  // A page that is put aside keeps no connection: the server would write to nobody.
  const sleep = () => {
    self.asleep = true;
    self.tasks.forEach(task => task.abort('the page sleeps', true));
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
      if (!self.closed) await handling.wait(pause = backoff(pause, 0)); // another account
    }
  };

  self.tasks.add(handling);
  listen(globalThis, 'online', wake);
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
