import test from 'node:test';
import assert from 'node:assert/strict';
import { broken, control, event, follow, memory, problem, serve, stream, withLocks } from './help.mjs';

const { read } = await import(process.env.TIDEMARK_CLIENT ?? '../tidemark.js');
const complete = control('close', { reason: 'complete', retry_ms: 0, message: 'all subjects are complete' });
const ends = (...parts) => res => {
  res.writeHead(200, { 'Content-Type': 'text/event-stream' });
  res.end(parts.join(''));
};
const noContent = res => res.writeHead(204).end();
const page = (n, events, more) => res => {
  res.writeHead(200, { 'Content-Type': 'application/json' });
  res.end(JSON.stringify({ events: events.map(e => ({ id: `${e}-e`, type: 'message', subject: 's', time: '2026-11-27T10:00:00Z', datacontenttype: 'text/plain', data: `${e}` })), position: `${n}-e`, gaps: [], more: false, ...more }));
};
const run = { until: 'end', subjects: ['runs.alice.7'] };
// After the end, the client must not send a request. It would do so after at most 20 ms.
const later = () => new Promise(done => { setTimeout(done, 200); });

test('the end is reported after the last event, and no request follows', async t => {
  for (const [name, options, answers] of [
    ['a stream that ends', {}, [broken(event(1)), ends(event(2), complete)]],
    ['a stream that a proxy keeps open', {}, [stream(event(1), event(2), complete)]],
    ['a stream behind the end', {}, [broken(event(1), event(2)), noContent]],
    ['polls', { transport: 'poll' }, [page(1, [1]), page(2, [2]), noContent]],
    ['the last page', { transport: 'poll' }, [page(1, [1]), page(2, [2], { complete: true })]],
  ]) {
    const { url, requests } = await serve(t, ...answers, problem(500));
    const calls = [];
    const { live, errors, closes, states, ended } = follow(t, url, {
      ...run, ...options, onEvent: async e => { calls.push(e.data); }, onEnd: async () => { calls.push('end'); },
    });
    await ended();
    await later();
    assert.deepEqual([calls, errors, closes, requests.length], [['1', '2', 'end'], [], [], answers.length], name);
    assert.deepEqual([states.at(-1), live.position], ['closed', '2-e'], name);
    assert.match(requests[0].url, /^\/events\?subject=runs.alice.7&until=end&/);
  }
});

test('a handler of the end that fails is called again', async t => {
  const { url } = await serve(t, ends(event(1), complete));
  let calls = 0;
  const { errors, ended } = follow(t, url, { ...run, onEnd: () => { if (++calls < 3) throw new Error('not yet'); } });
  await ended();
  assert.deepEqual([calls, errors.map(e => e.message)], [3, ['not yet', 'not yet']]);
});

test('a shared connection ends for its tabs, and keeps the lock until the handler has returned', async t => {
  const held = withLocks(t);
  for (const [answer, want] of [[ends(event(1), complete), ['1', 'end']], [noContent, ['end']], [stream(event(1), complete), ['1', 'end']]]) {
    const { url, requests } = await serve(t, answer, problem(500));
    const calls = [];
    const { live, errors, ended } = follow(t, url, { ...run, shared: true, onEvent: async e => { calls.push(e.data); }, onEnd: async () => {
      await later();
      calls.push('end');
      assert.equal(held(), 1);
    } });
    await ended();
    await live.close();
    assert.deepEqual([calls, errors, requests.length, held()], [want, [], 1, 0]);
  }
});

test('204 without until is an error', async t => {
  const { url } = await serve(t, noContent);
  const { errors, ended } = follow(t, url);
  await ended();
  assert.deepEqual(errors.map(e => e.status), [204]);
});

test('read yields the events and ends at the end', async t => {
  const { url, requests } = await serve(t, broken(event(1), event(2)), ends(event(3), complete), problem(500));
  const storage = memory(), data = [], stored = [];
  for await (const e of read(url, { ...run, storage, minBackoff: 1, maxBackoff: 20 })) {
    data.push(e.data);
    stored.push(Object.values(storage.entries)[0]);
  }
  await later();
  assert.deepEqual([data, stored, Object.values(storage.entries), requests.length], [['1', '2', '3'], [undefined, '1-e', '2-e'], ['3-e'], 2]);
});

test('read throws a final error', async t => {
  const { url } = await serve(t, broken(event(1)), problem(403, { detail: 'not permitted' }));
  const data = [];
  await assert.rejects(async () => {
    for await (const e of read(url, { storage: null, minBackoff: 1 })) data.push(e.data);
  }, { message: 'not permitted', status: 403 });
  assert.deepEqual(data, ['1']);
});

test('the end of a loop closes the connection, and the event is unhandled', async t => {
  let closed = 0;
  const { url, requests } = await serve(t, (res, req) => {
    req.socket.on('close', () => { closed++; });
    stream(event(1), event(2), event(3))(res);
  });
  const storage = memory();
  const events = read(url, { storage });
  assert.equal((await events.next()).value.data, '1');
  assert.equal((await events.next()).value.data, '2');
  await events.return();
  assert.deepEqual([await events.next(), Object.values(storage.entries)], [{ done: true, value: undefined }, ['1-e']]);
  while (!closed) await new Promise(done => { setTimeout(done, 2); });
  assert.equal(requests.length, 1);
});

test('an abort ends the loop, and a read without a loop sends nothing', async t => {
  const { url, requests } = await serve(t, stream(event(1)));
  read(url);
  const stop = new AbortController(), states = [];
  for await (const e of read(url, { signal: stop.signal, storage: null, onState: state => { states.push(state); } })) stop.abort(e);
  assert.deepEqual([requests.length, states.at(-1)], [1, 'closed']);
});
