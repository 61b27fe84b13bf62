// Helpers of the tests. The servers are real, and no test waits for a fixed time.
import { createServer } from 'node:http';
import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';

// The source, or the minified file served by nodes.
const { connect } = await import(process.env.TIDEMARK_CLIENT ?? '../tidemark.js');

// Serves HTTP until the test ends. Each request goes to the next handler; the last handler serves the
// remaining requests. `requests` lists them. Requests for the account's tag go to `identity` of the first
// argument, if that is an object, and are listed in `tagRequests`.
export async function serve(t, ...handlers) {
  const requests = [], tagRequests = [], { identity = problem(404) } = typeof handlers[0] === 'object' ? handlers.shift() : {};
  const server = createServer((req, res) => {
    if (/^\/identity(\?|$)/.test(req.url)) {
      tagRequests.push(req);
      return identity(res, req);
    }
    requests.push(req);
    (handlers.length > 1 ? handlers.shift() : handlers[0])(res, req);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${server.address().port}/events`, requests, tagRequests };
}

// A handler that answers with an event stream and leaves it open.
export const stream = (...parts) => res => {
  res.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8' });
  res.write(':\n\n' + parts.join(''));
};

// The same, but the socket is closed after the last part.
export const broken = (...parts) => res => {
  stream(...parts)(res);
  res.write('', () => res.destroy());
};

export const problem = (status, body = {}, headers = {}) => res => {
  res.writeHead(status, { 'Content-Type': 'application/problem+json', ...headers });
  res.end(JSON.stringify({ status, ...body }));
};

export const event = (n, data = `${n}`, epoch = 'e') => `data: ${data}\nid: ${n}-${epoch}\n\n`;
export const control = (type, data, id = '') => `event: tidemark.${type}\ndata: ${JSON.stringify(data)}\n${id && `id: ${id}\n`}\n`;

// Follows until the test ends, and records all calls. `until` resolves once a condition holds.
export function follow(t, url, options = {}) {
  const seen = { events: [], data: [], gaps: [], opens: [], closes: [], states: [], errors: [], waits: [] };
  const live = connect(url, {
    minBackoff: 1, maxBackoff: 20, storage: memory(),
    onGap: gap => { seen.gaps.push(gap); }, onOpen: open => { seen.opens.push(open); }, onClose: close => { seen.closes.push(close); },
    onError: error => { seen.errors.push(error); },
    onState: (state, more) => {
      seen.states.push(state);
      if (state === 'waiting') seen.waits.push(more);
    },
    ...options,
    onEvent: async e => {
      await options.onEvent?.(e);
      seen.events.push(e);
      seen.data.push(e.data);
    },
  });
  t.after(() => live.close());
  return { ...seen, live, until: ok => until(() => ok(seen)), ended: () => until(() => live.state === 'closed') };
}

// Polls. The time limit of the test run applies.
async function until(ok) {
  while (!ok()) await setTimeout(2);
}

// A replacement for Web Locks, which Node does not have: one holder of a name at a time. It returns a function for
// the number of locks that are held.
export function withLocks(t) {
  const last = new Map(), before = Object.getOwnPropertyDescriptor(globalThis, 'navigator');
  let held = 0;
  const request = async (name, { signal } = {}, use) => {
    const ahead = last.get(name);
    let free;
    last.set(name, new Promise(done => { free = done; }));
    try {
      await Promise.race([ahead, new Promise((_, fail) => signal?.addEventListener('abort', () => fail(new DOMException('', 'AbortError'))))]);
      held++;
      return await use().finally(() => { held--; });
    } finally {
      Promise.resolve(ahead).then(free);
    }
  };
  Object.defineProperty(globalThis, 'navigator', { configurable: true, value: { locks: { request } } });
  t.after(() => before ? Object.defineProperty(globalThis, 'navigator', before) : delete globalThis.navigator);
  return () => held;
}

// A storage like the browser's.
export function memory(entries = {}) {
  return {
    entries,
    getItem: key => entries[key] ?? null,
    setItem(key, value) { entries[key] = value; },
  };
}

// A response of fetch with the given pieces. Afterwards it ends, or stays open.
export function pieces(chunks, { end = true } = {}) {
  let pulled = 0;
  const body = new ReadableStream({
    pull(controller) {
      if (pulled < chunks.length) controller.enqueue(chunks[pulled++]);
      else if (end) controller.close();
      else return new Promise(() => {});
    },
  }, { highWaterMark: 0 });
  return { response: new Response(body, { headers: { 'Content-Type': 'text/event-stream' } }), pulled: () => pulled };
}

// A fetch that returns each response once, and then waits until it is aborted.
export const answers = (...responses) => (url, { signal }) => /\/identity(\?|$)/.test(url) ? new Response('', { status: 404 }) : responses.shift() ??
  new Promise((_, fail) => { signal.addEventListener('abort', () => fail(signal.reason)); });
