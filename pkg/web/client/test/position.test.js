import test from 'node:test';
import assert from 'node:assert/strict';
import { answers, broken, control, event, follow, memory, pieces, serve, stream } from './help.mjs';

const token = claims => `x.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.x`;

test('the position is stored after the handler, and resumed from', async t => {
  const { url, requests } = await serve(t, stream(event(1), event(2)), stream(event(3)));
  const storage = memory(), key = `tidemark  ${url}`, before = [];
  let release;
  const first = follow(t, url, {
    storage, from: 'all',
    onEvent: async e => {
      before.push(storage.entries[key]);
      if (e.data === '2') await new Promise(done => { release = done; });
    },
  });
  await first.until(() => before.length === 2);
  assert.deepEqual(before, [undefined, '1-e']);
  assert.equal(first.live.position, '1-e');
  const closing = first.live.close();
  release();
  await closing;
  assert.equal(storage.entries[key], '2-e');

  const second = follow(t, url, { storage, from: 'all' });
  await second.until(seen => seen.data.length === 1);
  assert.deepEqual(second.data, ['3']);
  assert.deepEqual(requests.map(r => [r.url, r.headers['last-event-id']]), [['/events?heartbeat=event&meta=1&from=all', undefined], ['/events?heartbeat=event&meta=1', '2-e']]);
});

test('repeats are dropped, events without a position are not', async t => {
  const { url } = await serve(t, stream(event(5), event(4), event(5), 'data: none\n\n', 'data: none\n\n', event(6), 'data: ours\nid: x\n\n', 'data: ours\nid: x\n\n', 'data: end\n\n'));
  const { data, until } = follow(t, url);
  await until(seen => seen.data.includes('end'));
  assert.deepEqual(data, ['5', 'none', 'none', '6', 'ours', 'end']);
});

test('sequences beyond 2^53 are told apart', async t => {
  const numbers = ['9007199254740991', '9007199254740992', '9007199254740993', '9007199254740994', '18446744073709551614', '18446744073709551615'];
  const { url } = await serve(t, stream(...numbers.map(n => event(n)), event(numbers[4]), event('9007199254740993'), event('99'), 'data: end\n\n'));
  const storage = memory(), { live, data, until } = follow(t, url, { storage });
  await until(seen => seen.data.includes('end'));
  await live.close();
  assert.deepEqual([data, live.position, Object.values(storage.entries)], [[...numbers, 'end'], numbers[5] + '-e', [numbers[5] + '-e']]);
});

test('a stored position beyond 2^53 moves forward alone', async t => {
  const stored = '9007199254740993-e';
  const { url, requests } = await serve(t, stream(event('9007199254740992'), event('9007199254740993'), event('9007199254740994')));
  const storage = memory({ [`tidemark  ${url}`]: stored }), { live, data, until } = follow(t, url, { storage });
  await until(seen => seen.data.length === 1);
  await live.close();
  assert.deepEqual([requests[0].headers['last-event-id'], data, Object.values(storage.entries)], [stored, ['9007199254740994'], ['9007199254740994-e']]);
});

test('quiet clients move on, too', async t => {
  const { url } = await serve(t, stream(control('open', { position: '3-e' }, '3-e'), event(4), control('position', { position: '90-e' }, '90-e'), event(91)));
  const storage = memory(), { live, data, until } = follow(t, url, { storage, onEvent: () => {} });
  await until(seen => seen.data.length === 2);
  await live.close();
  assert.deepEqual([data, live.position, Object.values(storage.entries)], [['4', '91'], '91-e', ['91-e']]);
});

test('gaps set the baseline', async t => {
  for (const [reason, position, goesOn, numbers, want] of [
    ['future', '50-e', '10-e', [['11', 'e'], ['12', 'e']], ['11', '12']],
    ['epoch', '50-e', '0-f', [['1', 'f'], ['2', 'f']], ['1', '2']],
    ['malformed', 'rubbish', '10-e', [['10', 'e'], ['11', 'e']], ['11']],
    ['trimmed', '50-e', '60-e', [['60', 'e'], ['61', 'e']], ['61']],
    ['possible', '50-e', '50-e', [['50', 'e'], ['51', 'e']], ['51']],
  ]) {
    const gap = { reason, requested: position, first_available: goesOn, continues_after: goesOn };
    const { url, requests } = await serve(t, stream(control('open', {}, position), control('gap', gap, goesOn), ...numbers.map(([n, epoch]) => event(n, n, epoch))));
    const storage = memory({ [`tidemark  ${url}`]: position }), { live, gaps, data, until } = follow(t, url, { storage });
    await until(() => live.position?.startsWith(want.at(-1)));
    await live.close();
    assert.deepEqual([requests[0].headers['last-event-id'], gaps, data], [position, [gap], want], reason);
    assert.deepEqual(Object.values(storage.entries), [live.position], reason);
  }
});

test('another tab that is further is not set back', async t => {
  const { url } = await serve(t, stream(event(1), event(2), event(3), event(4)));
  const storage = memory(), key = `tidemark  ${url}`, written = [];
  const { live, until } = follow(t, url, {
    storage: { getItem: storage.getItem, setItem: (k, v) => { written.push(v); storage.setItem(k, v); } },
    onEvent: e => { if (e.data === '2') storage.setItem(key, '3-e'); },
  });
  await until(seen => seen.data.length === 4);
  await live.close();
  assert.deepEqual(written, ['1-e', '4-e']);
});

test('each URL, subject and identity has a place of its own', async t => {
  const { url } = await serve(t, stream(event(1)));
  const storage = memory();
  for (const options of [{}, { subjects: ['b', 'a'] }, { subjects: ['a', 'b'] }, { only: true, subjects: ['a.>'] }, { identity: '42' }, { token: token({ sub: '43' }) }, { token: async () => token({ sub: '44' }) }, { token: 'opaque' }]) {
    const { live, until } = follow(t, url, { storage, ...options });
    await until(() => live.state === 'open');
    await until(() => live.position);
    await live.close();
  }
  assert.deepEqual(Object.keys(storage.entries).map(key => key.replace(url, 'URL')), [
    'tidemark  URL', 'tidemark  URL?subject=a&subject=b', 'tidemark  URL?subject=a.%3E&only=1', 'tidemark 42 URL', 'tidemark 43 URL', 'tidemark 44 URL',
  ]);
});

test('a storage that fails leaves the position in memory', async t => {
  const broke = () => { throw new Error('QuotaExceededError'); };
  for (const storage of [{ getItem: broke, setItem: broke }, { getItem: () => null, setItem: broke }, { getItem: async () => null, setItem: async () => broke() }, null]) {
    const { url, requests } = await serve(t, broken(event(1), event(2)), stream(event(3)));
    const { data, errors, until } = follow(t, url, { storage });
    await until(seen => seen.data.length === 3);
    assert.deepEqual([data, requests[1].headers['last-event-id'], errors.length], [['1', '2', '3'], '2-e', storage ? 1 : 0]);
  }
});

test('an asynchronous storage', async t => {
  const { url, requests } = await serve(t, broken(event(8)), stream(event(9)));
  const storage = memory({ [`tidemark  ${url}`]: '7-e' });
  const { live, data, until } = follow(t, url, { storage: { getItem: async key => storage.getItem(key), setItem: async (key, value) => storage.setItem(key, value) } });
  await until(seen => seen.data.length === 2);
  await live.close();
  assert.deepEqual([data, requests.map(r => r.headers['last-event-id']), Object.values(storage.entries)], [['8', '9'], ['7-e', '8-e'], ['9-e']]);
});

test('an event whose handler fails comes again, and nothing overtakes it', async t => {
  const { url, requests } = await serve(t, stream(event(1), event(2), event(3)));
  const storage = memory(), key = `tidemark  ${url}`, tried = [];
  const { data, errors, until } = follow(t, url, {
    storage,
    onEvent: async e => {
      tried.push([e.data, storage.entries[key]]);
      if (e.data === '2' && tried.length < 5) throw new Error('not now');
    },
  });
  await until(seen => seen.data.length === 3);
  assert.deepEqual(tried, [['1', undefined], ['2', '1-e'], ['2', '1-e'], ['2', '1-e'], ['2', '1-e'], ['3', '2-e']]);
  assert.deepEqual([data, errors.length, requests.length], [['1', '2', '3'], 3, 1]);
});

test('what is closed while its handler fails is not handled', async t => {
  const { url } = await serve(t, stream(event(1)));
  const { live, errors, until } = follow(t, url, { minBackoff: 20000, maxBackoff: 20000, onEvent: () => { throw new Error('not now'); } });
  await until(seen => seen.errors.length === 1);
  await live.close();
  assert.deepEqual([live.position, errors.length, live.state], [undefined, 1, 'closed']);
});

test('nothing is read while a handler is busy', async t => {
  const chunks = Array.from({ length: 50 }, (_, i) => new TextEncoder().encode(event(i + 1))), { response, pulled } = pieces(chunks, { end: false });
  let release, most = 0;
  const { data, until } = follow(t, 'http://x/', {
    fetch: answers(response),
    onEvent: async () => {
      await new Promise(done => { release = done; setImmediate(() => setImmediate(done)); });
      most = Math.max(most, pulled() - data.length);
    },
  });
  await until(seen => seen.data.length === 50);
  assert.ok(release && most <= 2, `${most} pieces were read ahead`);
});
