// The connection of the console: the client library, with a fetch that can be cut and that reads the
// first comment of ?meta=1.

import { connect } from '../client.js';

// The time between a cut and the reconnect, in milliseconds: long enough to be visible.
const CUT = 3000;
// A smaller difference between the clocks, in milliseconds, is ignored.
const SAME_CLOCK = 2000;

const sequence = position => /^(\d+)-(.*)$/.exec(position) || [];

// Passes the first comment of a connection to `opened`: the node's clock, and its last position.
function metaReader(opened) {
  const decoder = new TextDecoder();
  let text = '';
  return chunk => {
    if (text === undefined) return;
    text += decoder.decode(chunk, { stream: true });
    const [, meta] = /^: tidemark\.meta (.*)\n/m.exec(text) || [];
    if (meta) opened(JSON.parse(meta));
    if (meta || text.length > 4096) text = undefined;
  };
}

// A storage of positions in memory. A new connection with the same `from` continues at its position.
function positionStorage() {
  let positions = new Map(), from, seed;
  return {
    begin(start) {
      if (start === from) return;
      from = start;
      positions = new Map();
      seed = /^\d+-[0-9a-z]+$/.test(start) ? start : undefined;
    },
    get from() { return seed ? undefined : from; },
    getItem: key => positions.get(key) || seed,
    setItem: (key, value) => { positions.set(key, value); },
  };
}

// newFeed follows one feed at a time. It calls the functions of `on`: state, event, open, gap, end and error.
export function newFeed(on) {
  const positions = positionStorage();
  let client, cutter, heldUntil = 0, release = () => {}, last, skew = 0, lostAt = 0, away, resuming = false;

  const opened = meta => {
    last = sequence(meta.last);
    const differ = Date.now() - meta.now_ms;
    skew = Math.abs(differ) < SAME_CLOCK ? 0 : differ;
  };
  const hold = async () => {
    const left = heldUntil - Date.now();
    if (left > 0) await new Promise(done => {
      release = done;
      setTimeout(done, left);
    });
  };
  const cuttableFetch = async (url, init) => {
    await hold();
    if (init.signal.aborted) throw new Error('closed');
    const mine = cutter = new AbortController();
    init.signal.addEventListener('abort', () => mine.abort());
    const response = await fetch(url, { ...init, signal: mine.signal });
    // A response with the status 204 may have a body stream, but the constructor of Response throws for both.
    if (response.status !== 200 || !response.body) return response;
    const read = metaReader(opened);
    const tap = new TransformStream({ transform(chunk, out) {
      read(chunk);
      out.enqueue(chunk);
    } });
    return new Response(response.body.pipeThrough(tap), { status: response.status, headers: response.headers });
  };

  const onEvent = event => {
    const [, seq, epoch] = sequence(event.id), now = Date.now();
    // An event stored before the connection was opened.
    const old = !!last && epoch === last[2] && BigInt(seq) <= BigInt(last[1]);
    const delay = event.time && !old ? Math.max(0, now - skew - Date.parse(event.time)) : undefined;
    if (old && resuming) away.redelivered++;
    on.event({ ...event, time: now, delay, old, again: old && resuming }, away);
  };
  const onState = (state, more) => {
    if (state === 'waiting') {
      lostAt = lostAt || Date.now();
      resuming = true;
    }
    on.state(state, { ...more, cut: heldUntil > Date.now() });
  };
  const onOpen = open => {
    away = resuming ? { ms: Date.now() - lostAt, redelivered: 0, cut: heldUntil > lostAt } : undefined;
    lostAt = heldUntil = 0;
    on.open(open, away);
  };

  return {
    // start connects, after it has closed an earlier connection.
    async start({ path, user, subjects, until, from, token }) {
      await this.stop();
      positions.begin(from);
      resuming = false;
      last = undefined;
      client = connect(path + (user ? '?' + new URLSearchParams({ user }) : ''), {
        subjects, until, from: positions.from, token: token || undefined, identity: user || 'console', storage: positions, fetch: cuttableFetch,
        onEvent, onOpen, onGap: on.gap, onEnd: on.end, onState, onError: on.error, maxBackoff: 8000,
      });
    },
    async stop() {
      const ending = client;
      client = undefined;
      heldUntil = lostAt = 0;
      release();
      if (ending) await ending.close();
    },
    // cut aborts the connection like a network failure, and delays the reconnect.
    cut() {
      if (!client || !cutter) return;
      lostAt = Date.now();
      heldUntil = lostAt + CUT;
      cutter.abort();
    },
  };
}
