// The connection: the client library over a fetch that can be cut, and that reads what
// ?meta=1 tells beside the events.

import { connect } from '../client.js';

// How long a connection that was cut stays away, in milliseconds: long enough to see.
const CUT = 3000;
// What is kept for events that were not handed over yet.
const MAX_META = 20000;
// Clocks that differ by less, in milliseconds, are taken to agree.
const SAME_CLOCK = 2000;

const sequence = position => /^(\d+)-(.*)$/.exec(position) || [];

// Reads the comments of a stream: what stands before an event is kept by the event's id.
function metaReader(opened, metas) {
  const decoder = new TextDecoder();
  let rest = '', next;
  return chunk => {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop();
    for (const line of lines) {
      if (line.startsWith(': tidemark.meta ')) {
        const meta = JSON.parse(line.slice(16));
        if (meta.last) opened(meta);
        else next = { ...meta, got: Date.now() };
      } else if (next && line.startsWith('id: ')) {
        if (metas.size >= MAX_META) metas.delete(metas.keys().next().value);
        metas.set(line.slice(4), next);
        next = undefined;
      }
    }
  };
}

// Positions live as long as the page: who comes back with the same wishes goes on.
function placeKeeper() {
  let places = new Map(), from, seed;
  return {
    begin(wish) {
      if (wish === from) return;
      from = wish;
      places = new Map();
      seed = /^\d+-[0-9a-z]+$/.test(wish) ? wish : undefined;
    },
    get from() { return seed ? undefined : from; },
    getItem: key => places.get(key) || seed,
    setItem: (key, value) => { places.set(key, value); },
  };
}

// newFeed follows one feed at a time, and tells `on` of what happens: state, event, open,
// gap and error.
export function newFeed(on) {
  const places = placeKeeper(), metas = new Map();
  let client, cutter, heldUntil = 0, release = () => {}, last, skew = 0, lostAt = 0, away, resuming = false;

  const opened = meta => {
    metas.clear(); // what a connection before this one left
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
    if (!response.ok || !response.body) return response;
    const read = metaReader(opened, metas);
    const tap = new TransformStream({ transform(chunk, out) {
      read(chunk);
      out.enqueue(chunk);
    } });
    return new Response(response.body.pipeThrough(tap), { status: response.status, headers: response.headers });
  };

  const onEvent = event => {
    const meta = metas.get(event.id), [, seq, epoch] = sequence(event.id);
    metas.delete(event.id);
    // What was stored before the stream was opened.
    const old = !!last && epoch === last[2] && BigInt(seq) <= BigInt(last[1]);
    const delay = meta && meta.stored_ms && !old ? Math.max(0, meta.got - skew - meta.stored_ms) : undefined;
    if (old && resuming) away.redelivered++;
    on.event({ ...event, subject: meta && meta.subject, time: meta ? meta.got : Date.now(), delay, old, again: old && resuming }, away);
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
    // start resolves nothing; a stream that there was has ended before.
    async start({ path, user, subjects, from, token }) {
      await this.stop();
      places.begin(from);
      resuming = false;
      last = undefined;
      const query = new URLSearchParams({ meta: '1', ...(user ? { user } : {}) });
      client = connect(path + '?' + query, {
        subjects, from: places.from, token: token || undefined, identity: user || 'console', storage: places, fetch: cuttableFetch,
        onEvent, onOpen, onGap: on.gap, onState, onError: on.error, maxBackoff: 8000,
      });
    },
    async stop() {
      const ending = client;
      client = undefined;
      heldUntil = lostAt = 0;
      release();
      if (ending) await ending.close();
    },
    // cut drops the connection as a network does, and keeps it away for a while.
    cut() {
      if (!client || !cutter) return;
      lostAt = Date.now();
      heldUntil = lostAt + CUT;
      cutter.abort();
    },
  };
}
