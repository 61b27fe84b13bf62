import test from 'node:test';
import assert from 'node:assert/strict';
import { broken, control, event, follow, memory, problem, serve, stream, withLocks } from './help.mjs';

const tagged = tag => res => {
  res.writeHead(200, { 'Content-Type': 'application/json' });
  res.end(JSON.stringify({ identity: tag }));
};
const open = (tag, more) => control('open', { identity: tag, ...more });
const seenBy = requests => requests.map(r => [r.url.replace('/events?heartbeat=event&meta=1', ''), r.headers['last-event-id']]);

test('the tag is part of the key, and goes with a resume', async t => {
  const { url, requests, tagRequests } = await serve(t, { identity: tagged('A') }, broken(open('A'), event(1)), stream(event(2)));
  const storage = memory(), { data, live, until } = follow(t, url + '?user=1', { storage, token: 'opaque', headers: { 'X-App': 'x' } });
  await until(seen => seen.data.length === 2);
  await live.close();
  assert.deepEqual([data, storage.entries], [['1', '2'], { [`tidemark A ${url}?user=1`]: '2-e' }]);
  assert.deepEqual(requests.map(r => r.url), ['/events?user=1&heartbeat=event&meta=1', '/events?user=1&heartbeat=event&meta=1&identity=A']);
  assert.deepEqual(tagRequests.map(r => [r.url, r.headers.authorization, r.headers['x-app']]), [['/identity?user=1', 'Bearer opaque', 'x']]);
});

test('a position is not taken up by another account', async t => {
  const storage = memory();
  for (const [tag, n] of [['A', 7], ['B', 9]]) {
    const { url, requests } = await serve(t, { identity: tagged(tag) }, stream(open(tag), event(n)));
    const { live, until } = follow(t, 'http://feed/events', { storage, fetch: (address, init) => fetch(address.replace('http://feed', new URL(url).origin), init) });
    await until(() => live.position);
    await live.close();
    assert.deepEqual(seenBy(requests), [['', undefined]]);
  }
  assert.deepEqual(storage.entries, { 'tidemark A http://feed/events': '7-e', 'tidemark B http://feed/events': '9-e' });
});

test('an account that changes between two connections goes on at its own position', async t => {
  const { url, requests, tagRequests } = await serve(t, { identity: tagged('A') },
    broken(open('A'), event(5)), stream(open('B', { identity_changed: true }), event(6, 'not handled')), stream(open('B'), event(4)));
  const storage = memory({ [`tidemark B ${url}`]: '3-e' }), { data, opens, live, until } = follow(t, url, { storage });
  await until(seen => seen.data.length === 2);
  await live.close();
  assert.deepEqual([data, opens.map(o => o.identity)], [['5', '4'], ['A', 'B']]);
  assert.deepEqual(seenBy(requests), [['', undefined], ['&identity=A', '5-e'], ['&identity=B', '3-e']]);
  assert.deepEqual([storage.entries, tagRequests.length], [{ [`tidemark A ${url}`]: '5-e', [`tidemark B ${url}`]: '4-e' }, 1]);
});

test('a server that is down is not taken for one without tags', async t => {
  let down = true;
  const { url, requests } = await serve(t, { identity: res => (down ? problem(503) : tagged('A'))(res) }, stream(open('A'), event(8)));
  const storage = memory({ [`tidemark A ${url}`]: '7-e' }), { data, waits, until } = follow(t, url, { storage });
  await until(() => waits.length > 1);
  assert.equal(requests.length, 0);
  down = false;
  await until(() => data.length);
  assert.deepEqual(seenBy(requests), [['&identity=A', '7-e']]);
});

test('a token that is refused for the tag is renewed', async t => {
  for (const shared of [false, true]) {
    if (shared) withLocks(t);
    const identity = (res, req) => (req.headers.authorization === 'Bearer new' ? tagged('A') : problem(401))(res);
    const { url, requests } = await serve(t, { identity }, stream(open('A'), event(1))), reasons = [];
    const { until, live } = follow(t, url, { shared, token: async reason => { reasons.push(reason); return reason ? 'new' : 'old'; } });
    await until(seen => seen.data.length === 1);
    assert.deepEqual([reasons, requests.length], [[undefined, 'rejected'], 1], `shared: ${shared}`);
    await live.close();
  }
});

test('tabs of two accounts share nothing', async t => {
  withLocks(t);
  const user = req => req.headers['x-user'];
  const answer = (res, req) => stream(open(user(req)), event(1, `for ${user(req)}`))(res);
  const { url, requests } = await serve(t, { identity: (res, req) => tagged(user(req))(res) }, answer);
  const tabs = ['alice', 'alice', 'bob'].map(name => follow(t, url, { shared: true, from: 'all', headers: { 'X-User': name }, onEvent: () => {} }));
  await tabs[0].until(seen => seen.data.length === 1);
  await tabs[2].until(seen => seen.data.length === 1);
  assert.deepEqual(tabs.map(tab => tab.data.filter(d => d !== 'for alice')), [[], [], ['for bob']]);
  assert.ok(requests.some(r => user(r) === 'alice') && requests.some(r => user(r) === 'bob'));
  await Promise.all(tabs.map(tab => tab.live.close()));
});

test('a tab whose account changes leaves the tabs of the first one', async t => {
  withLocks(t);
  let now = 'A', connections = 0;
  const answer = res => {
    const tag = now;
    (connections++ ? stream : broken)(open(tag), event(1, `for ${tag}`))(res);
    now = 'B';
  };
  const { url } = await serve(t, { identity: tagged('A') }, answer);
  const storage = memory(), { data, live, until } = follow(t, url, { shared: true, storage });
  await until(seen => seen.data.includes('for B'));
  await live.close();
  assert.deepEqual([data, Object.keys(storage.entries).sort()], [['for A', 'for B'], [`tidemark A ${url}`, `tidemark B ${url}`]]);
});

test('an account that changes between two polls goes on at its own position', async t => {
  const page = (n, more) => res => {
    res.writeHead(200, { 'Content-Type': 'application/json' });
    res.end(JSON.stringify({ events: n ? [{ id: `${n}-e`, type: 'message', subject: 's', datacontenttype: 'text/plain', data: `${n}` }] : [], position: `${n || 90}-e`, gaps: [], more: false, ...more }));
  };
  let account = 'A';
  const answers = [page(5), res => { account = 'B'; page(60, { identity_changed: true })(res); }, page(8), () => {}];
  const { url, requests, tagRequests } = await serve(t, { identity: res => tagged(account)(res) }, ...answers);
  const storage = memory({ [`tidemark B ${url}`]: '7-e' }), { data, until } = follow(t, url, { storage, transport: 'poll' });
  await until(() => requests.length === 4);
  assert.deepEqual([data, storage.entries, tagRequests.length], [['5', '8'], { [`tidemark A ${url}`]: '5-e', [`tidemark B ${url}`]: '8-e' }, 2]);
  assert.deepEqual(requests.map(r => [/identity=(.)/.exec(r.url)[1], r.headers['last-event-id']]), [['A', undefined], ['A', '5-e'], ['B', '7-e'], ['B', '8-e']]);
});
