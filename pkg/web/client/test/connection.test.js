import test from 'node:test';
import assert from 'node:assert/strict';
import { broken, control, event, follow, problem, serve, stream, withLocks } from './help.mjs';

const close = (reason, retry_ms = 1) => control('close', { reason, retry_ms, message: '' });
const tokens = requests => requests.map(r => r.headers.authorization);

test('comes back from errors of the server and of the network', async t => {
  const { url, requests } = await serve(t, problem(500), problem(503), res => res.destroy(), broken(event(1)), problem(408), res => res.destroy(), broken(event(2)), stream(event(3)));
  const { data, states, errors, until } = follow(t, url);
  await until(seen => seen.data.length === 3);
  assert.deepEqual([data, errors, requests.length], [['1', '2', '3'], [], 8]);
  assert.deepEqual(states.filter(s => s === 'open').length, 3);
});

test('stops on what must not be repeated', async t => {
  for (const [answer, status, message] of [
    [problem(403, { detail: '?subject=x is not within the subjects that this feed allows' }), 403, /not within/],
    [problem(404), 404, /404/], [problem(401, { detail: 'no identity' }), 401, /no identity/],
    [res => res.writeHead(200, { 'Content-Type': 'text/html' }).end('<p>'), 200, /instead of events/],
    [res => res.writeHead(204).end(), 204, /204/],
  ]) {
    const { url, requests } = await serve(t, answer);
    const { live, errors, states, ended } = follow(t, url, { token: 'fixed' });
    await ended();
    await live.close();
    assert.deepEqual([errors.length, errors[0].status, requests.length, states.at(-1)], [1, status, 1, 'closed']);
    assert.match(errors[0].message, message);
  }
});

test('waits as it was told, within its bounds', async t => {
  const { url } = await serve(t, problem(429, {}, { 'Retry-After': '1' }), res => stream('retry: 40\n\n')(res), stream(event(1)));
  const { waits, until } = follow(t, url, { maxBackoff: 50 });
  await until(seen => seen.waits.length === 1);
  assert.equal(waits[0].delay, 50); // one second is beyond the bound
});

test('retry: is the least pause', async t => {
  const { url } = await serve(t, broken('retry: 30\n\n'), problem(503), problem(503), problem(503), stream(event(1)));
  const { waits, until } = follow(t, url, { maxBackoff: 100 });
  await until(seen => seen.data.length === 1);
  assert.equal(waits.length, 4);
  for (const { delay } of waits) assert.ok(delay >= 30 && delay <= 100, `${delay} ms`);
});

test('a callback gives another token, once for each refusal', async t => {
  const expired = problem(401, { type: 'urn:tidemark:token-expired', detail: 'expired' });
  const { url, requests } = await serve(t, expired, broken(event(1)), expired, stream(event(2)));
  const reasons = [];
  const { data, until } = follow(t, url, { identity: 'me', token: async reason => reasons.push(reason) && `t${reasons.length}` });
  await until(seen => seen.data.length === 2);
  assert.deepEqual([data, reasons, tokens(requests)], [['1', '2'], [undefined, 'rejected', 'rejected'], ['Bearer t1', 'Bearer t2', 'Bearer t2', 'Bearer t3']]);
});

test('a new token that is refused is the end', async t => {
  const { url, requests } = await serve(t, problem(401, { detail: 'nobody knows you' }));
  const { errors, ended } = follow(t, url, { token: () => 't' });
  await ended();
  assert.deepEqual([requests.length, errors[0].message, errors[0].status], [2, 'nobody knows you', 401]);
});

test('the end of a token, though the stream stays open', async t => {
  const { url, requests } = await serve(t, stream(event(1), close('token-expired')), stream(event(2)));
  const reasons = [];
  const { data, closes, until } = follow(t, url, { token: reason => reasons.push(reason) && `t${reasons.length}` });
  await until(seen => seen.data.length === 2);
  assert.deepEqual([data, reasons, tokens(requests), closes.map(c => c.reason)], [['1', '2'], [undefined, 'token-expired'], ['Bearer t1', 'Bearer t2'], ['token-expired']]);
});

test('a revoked token is replaced once', async t => {
  const { url, requests } = await serve(t, broken(event(1), close('revoked')), problem(401, { detail: 'the token was revoked' }));
  const reasons = [];
  const { errors, ended } = follow(t, url, { token: reason => reasons.push(reason) && `t${reasons.length}` });
  await ended();
  assert.deepEqual([reasons, tokens(requests), errors.map(e => e.message)], [[undefined, 'revoked'], ['Bearer t1', 'Bearer t2'], ['the token was revoked']]);
});

test('a failed token callback is called again', async t => {
  const { url, requests } = await serve(t, stream(event(1)));
  let reasons = 0;
  const { waits, until } = follow(t, url, { token: async () => { if (++reasons < 3) throw new Error('offline'); return 't'; } });
  await until(seen => seen.data.length === 1);
  assert.deepEqual([waits.map(w => w.error.message), requests.length], [['offline', 'offline'], 1]);
});

test('comes back after each farewell', async t => {
  for (const reason of ['drain', 'max-age', 'idle', 'overload', 'limit']) {
    const { url, requests } = await serve(t, broken(event(1), close(reason, 5)), stream(event(2)));
    const { closes, data, waits, until } = follow(t, url);
    await until(seen => seen.data.length === 2);
    assert.deepEqual([closes.map(c => c.reason), data, requests[1].headers['last-event-id']], [[reason], ['1', '2'], '1-e']);
    assert.ok(waits[0].delay >= 5);
  }
});

test('a server that falls silent is left', async t => {
  let mute = true;
  const { url } = await serve(t, (res, req) => {
    if (!req.headers['last-event-id']) stream(event(1))(res);
    else if (mute) mute = false;
    else stream(event(2))(res);
  });
  const { data, waits, until } = follow(t, url, { idleTimeout: 300 });
  await until(seen => seen.data.length === 2);
  assert.deepEqual([data, mute, waits.length >= 2], [['1', '2'], false, true]);
  for (const { error } of waits) assert.match(error.message, /idle timeout/);
});

test('a handler may take longer than the server may be silent', async t => {
  const { url, requests } = await serve(t, stream(event(1), event(2)));
  const { data, until } = follow(t, url, { idleTimeout: 1000, onEvent: e => e.data === '1' && new Promise(done => { setTimeout(done, 3000); }) });
  await until(seen => seen.data.length === 2);
  assert.deepEqual([data, requests.length], [['1', '2'], 1]);
});

test('close and abort end it, at any time', async t => {
  const over = new AbortController();
  over.abort();
  for (const [options, answer, when] of [
    [{ signal: over.signal }, stream(), () => true], [{}, () => {}, r => r.length], [{}, stream(event(1)), (r, seen) => seen.data.length],
    [{ minBackoff: 20000, maxBackoff: 20000 }, problem(503), (r, seen) => seen.waits.length],
  ]) {
    const { url, requests } = await serve(t, answer);
    const stop = new AbortController();
    const { live, states, errors, until } = follow(t, url, { signal: stop.signal, ...options });
    await until(seen => when(requests, seen));
    stop.abort();
    await live.close();
    assert.deepEqual([live.state, states.at(-1), errors], ['closed', 'closed', []]);
  }
});

test('wake ends a wait, but not one requested by the server', async t => {
  const patient = { minBackoff: 600000, maxBackoff: 600000 };
  const first = await serve(t, problem(503), broken(event(1), close('drain', 600000)), stream(event(2)));
  const { live, data, until } = follow(t, first.url, patient);
  await until(seen => seen.waits.length === 1);
  live.wake();
  await until(seen => seen.waits.length === 2);
  live.wake();
  await until(seen => seen.data.length === 2);
  assert.deepEqual(data, ['1', '2']);

  for (const answer of [problem(503, {}, { 'Retry-After': '600' }), broken(close('overload', 600000))]) {
    const { url, requests } = await serve(t, answer);
    const { live, waits, until } = follow(t, url, patient);
    await until(seen => seen.waits.length === 1);
    live.wake();
    await live.close();
    assert.deepEqual([requests.length, waits.length], [1, 1]);
  }
});

test('wake after close does nothing, shared or not', async t => {
  withLocks(t);
  for (const shared of [false, true]) {
    const { url, requests } = await serve(t, stream(event(1)));
    const states = [];
    const { live, until } = follow(t, url, { shared, onState: state => {
      states.push(state);
      if (state === 'closed') live.wake();
    } });
    await until(seen => seen.data.length === 1);
    await live.close();
    live.wake();
    assert.deepEqual([live.state, states.at(-1), requests.length], ['closed', 'closed', 1]);
  }
});

// Without the timeout, fetch closes the connection after five minutes.
test('a wall clock that is set back does not keep a dead connection', { timeout: 60000 }, async t => {
  const { url, requests } = await serve(t, stream(event(1)), stream(event(2)));
  const { data, until } = follow(t, url, { idleTimeout: 200 });
  await until(seen => seen.data.length === 1);
  const { now } = Date;
  Date.now = () => now() - 3600000;
  t.after(() => { Date.now = now; });
  await until(seen => seen.data.length === 2);
  assert.deepEqual([data, requests.length], [['1', '2'], 2]);
});

test('headers and subjects are sent', async t => {
  const { url, requests } = await serve(t, stream(event(1)));
  const { until } = follow(t, url + '?user=42', { subjects: ['a.>', 'b'], only: true, headers: { 'X-App': 'test' } });
  await until(seen => seen.data.length === 1);
  assert.equal(requests[0].url, '/events?user=42&subject=a.%3E&subject=b&only=1&heartbeat=event&meta=1');
  assert.deepEqual([requests[0].headers['x-app'], requests[0].headers.accept], ['test', 'text/event-stream']);
});
