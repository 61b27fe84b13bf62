import test from 'node:test';
import assert from 'node:assert/strict';
import { control, event, follow, problem, serve, stream } from './help.mjs';

const { connect, read } = await import(process.env.TIDEMARK_CLIENT ?? '../tidemark.js');

// An event of a page, in CloudEvents JSON. `data` is JSON text.
const entry = (n, more = {}, data = `"${n}"`) =>
  `{"specversion":"1.0","id":"${n}-e","source":"S","type":"message","subject":"s.${n}","time":"2026-11-27T10:00:00.123Z",` +
  Object.entries({ datacontenttype: 'text/plain', ...more }).map(([name, value]) => `"${name}":${JSON.stringify(value)},`).join('') + `"data":${data}}`;
const page = (position, events = [], more = {}) => res => {
  res.writeHead(200, { 'Content-Type': 'application/json' });
  res.end(`{"events":[${events}],"position":"${position}-e",${JSON.stringify({ gaps: [], more: false, ...more }).slice(1)}`);
};

// A feed behind a proxy that holds back event streams. Polls are answered from a list of events; a poll
// at the end of it stays open.
function buffered(events, { streams = () => {} } = {}) {
  return (res, req) => {
    if (req.headers.accept !== 'application/json') return streams(res, req);
    const after = parseInt(req.headers['last-event-id'] ?? '0'), next = events.slice(after, after + 2);
    if (next.length || new URL(req.url, 'http://h').searchParams.get('wait') === '0') {
      page(after + next.length, next.map(n => entry(n)), { more: after + 2 < events.length })(res);
    }
  };
}
const accepts = requests => requests.map(r => r.headers.accept.replace(/.*\//, ''));
const waits = requests => requests.map(r => new URL(r.url, 'http://h').searchParams.get('wait'));

test('after two streams without a byte it polls, from the same position', async t => {
  const { url, requests } = await serve(t, buffered([1, 2, 3, 4, 5]));
  const { data, events, live, states, errors, until } = follow(t, url, { firstByteTimeout: 100, from: 'all' });
  await until(seen => seen.data.length === 5 && requests.length === 6);
  assert.deepEqual([data, live.position, errors], [['1', '2', '3', '4', '5'], '5-e', []]);
  assert.deepEqual([accepts(requests), waits(requests)], [['event-stream', 'event-stream', 'json', 'json', 'json', 'json'], [null, null, '0', '22', '22', '22']]);
  assert.deepEqual([events[0], states.at(-1)], [{ type: 'message', id: '1-e', subject: 's.1', time: '2026-11-27T10:00:00.123Z', data: '1' }, 'open']);
  assert.deepEqual(requests.map(r => [/from=all/.test(r.url), r.headers['last-event-id']]), [[true, undefined], [true, undefined], [true, undefined], [false, '2-e'], [false, '4-e'], [false, '5-e']]);
});

test('a proxy that passes the headers and holds back the body is left, too', async t => {
  const { url, requests } = await serve(t, buffered([1], { streams: res => res.writeHead(200, { 'Content-Type': 'text/event-stream' }).flushHeaders() }));
  const { data, until } = follow(t, url, { firstByteTimeout: 100 });
  await until(seen => seen.data.length === 1);
  assert.deepEqual([data, accepts(requests).slice(0, 3)], [['1'], ['event-stream', 'event-stream', 'json']]);
});

test('it tries a stream again later, and continues there', async t => {
  let held = true;
  const events = [1, 2];
  const { url, requests } = await serve(t, buffered(events, { streams: (res, req) => held || stream(event(3), event(4))(res, req) }));
  const { data, until } = follow(t, url, { firstByteTimeout: 100, streamRetry: 300, idleTimeout: 4000 });
  await until(seen => seen.data.length === 2);
  events.push(3); // ends the waiting poll after the time is over
  held = false;
  await until(seen => seen.data.length === 4);
  assert.deepEqual([data, requests.at(-1).headers.accept], [['1', '2', '3', '4'], 'text/event-stream']);
});

test('while a stream stays mute it polls again after one attempt', async t => {
  const events = Array.from({ length: 200 }, (_, i) => i + 1);
  const { url, requests } = await serve(t, buffered(events));
  const { data, until } = follow(t, url, { firstByteTimeout: 50, streamRetry: 300, onEvent: () => new Promise(done => { setTimeout(done, 200); }) /* a page has two events */ });
  await until(seen => seen.data.length === 6);
  assert.deepEqual(data, ['1', '2', '3', '4', '5', '6']);
  assert.match(accepts(requests).join(' '), /^event-stream event-stream json event-stream json event-stream json/);
});

test('a stream that begins is not given up', async t => {
  const { url, requests } = await serve(t, res => stream()(res));
  const { live, waits: paused, until } = follow(t, url, { firstByteTimeout: 1000, idleTimeout: 1500 });
  await until(seen => seen.waits.length === 3);
  assert.deepEqual([new Set(accepts(requests)), new Set(paused.map(w => w.error.message))], [new Set(['event-stream']), new Set(['idle timeout: no data from the server'])]);
  await live.close();
});

test("'stream' never polls, and 'poll' never streams", async t => {
  const held = await serve(t, buffered([1]));
  const first = follow(t, held.url, { transport: 'stream', firstByteTimeout: 20, idleTimeout: 200 });
  await first.until(seen => seen.waits.length === 4);
  assert.deepEqual(new Set(accepts(held.requests)), new Set(['event-stream']));

  const { url, requests } = await serve(t, buffered([1, 2, 3]));
  const second = follow(t, url, { transport: 'poll' });
  await second.until(seen => seen.data.length === 3);
  assert.deepEqual([second.data, new Set(accepts(requests))], [['1', '2', '3'], new Set(['json'])]);
});

test('without a fetch that streams and without EventSource it polls', async t => {
  const { url, requests } = await serve(t, buffered([1, 2, 3]));
  const { data, until } = follow(t, url, { fetch: null, EventSource: null });
  await until(seen => seen.data.length === 3);
  assert.deepEqual([data, new Set(accepts(requests))], [['1', '2', '3'], new Set(['json'])]);
});

test('data is the same text as in a stream', async t => {
  const json = { datacontenttype: 'application/json' };
  const cases = [
    ['9007199254740993', json, '9007199254740993'], ['1.0', json, '1.0'], ['{"b":[1,{"2":"}"}],"1":"\\"],"}', json, '{"b":[1,{"2":"}"}],"1":"\\"],"}'],
    ['"text"', json, '"text"'], [' [1 , 2] ', json, ' [1 , 2] '], ['[1,\r\n2]', json, '[1,\n2]'], ['null', json, 'null'], ['{"data":"inner"}', json, '{"data":"inner"}'],
    ['"a\\r\\nb\\rc\\u0000é"', {}, 'a\nb\nc\0é'], ['"\\\\"', {}, '\\'], ['""', {}, ''],
    ['undefined', { data_base64: '/w==' }, 'data:application/octet-stream;base64,/w=='], ['undefined', {}, ''],
    ['"data:application/octet-stream;base64,\\u00fc"', {}, 'data:application/octet-stream;base64,ZGF0YTphcHBsaWNhdGlvbi9vY3RldC1zdHJlYW07YmFzZTY0LMO8'],
    ['"<a/>"', { datacontenttype: 'application/xml', type: 'order', events: 'x', dataschema: '"data":' }, '<a/>'],
  ];
  const entries = cases.map(([text, more], i) => entry(i + 1, more, text).replace(',"data":undefined', ''));
  const { url } = await serve(t, page(cases.length, entries, { gaps: [{ reason: 'possible', continues_after: '0-e' }] }));
  const { events, until } = follow(t, url, { transport: 'poll' });
  await until(seen => seen.data.length === cases.length);
  assert.deepEqual(events.map(e => e.data), cases.map(c => c[2]));
  assert.equal(events.at(-1).type, 'order');
});

test('subject and time come with each event of a stream', async t => {
  const meta = (subject, stored_ms) => `: tidemark.meta ${JSON.stringify({ subject, stored_ms })}\n\n`;
  const { url } = await serve(t, stream(': tidemark.meta {"now_ms":1,"last":"9-e"}\n\n', control('open', { position: '0-e' }, '0-e'),
    meta('a.b', 1764237600123), event(1), control('position', { position: '2-e' }, '2-e'), event(3), meta('a.ü', 0), event(4)));
  const { events, until } = follow(t, url);
  await until(seen => seen.data.length === 3);
  assert.deepEqual(events.map(e => [e.subject, e.time]), [['a.b', '2025-11-27T10:00:00.123Z'], [undefined, undefined], ['a.ü', '1970-01-01T00:00:00.000Z']]);
});

test('polls report gaps before the events after them, and move the position', async t => {
  for (const [gap, stored, events, want] of [
    [{ reason: 'trimmed', requested: '3-e', first_available: '61-e', continues_after: '60-e' }, '3-e', [61, 62], ['gap 60-e', '61', '62']],
    [{ reason: 'future', requested: '90-e', first_available: '1-e', continues_after: '10-e' }, '90-e', [11], ['gap 10-e', '11']],
  ]) {
    const last = events.at(-1), seen = [];
    const { url, requests } = await serve(t, page(last, events.map(n => entry(n)), { gaps: [gap] }), page(last + 5), () => {});
    const storage = { getItem: () => stored, setItem() {} };
    const { live, until } = follow(t, url, { transport: 'poll', storage, onEvent: e => { seen.push(e.data); }, onGap: g => { seen.push('gap ' + g.continues_after); } });
    await until(() => requests.length === 3);
    assert.deepEqual([seen, live.position, requests[2].headers['last-event-id']], [want, `${last + 5}-e`, `${last + 5}-e`]);
  }
});

test('polls wait as requested after errors, and renew a token', async t => {
  const { url, requests } = await serve(t, problem(429, {}, { 'Retry-After': '1' }), problem(503), res => res.destroy(), page(1, [entry(1)]), problem(401), page(2, [entry(2)]), problem(401), problem(401, { detail: 'revoked' }));
  const reasons = [];
  const { data, waits: paused, errors, ended } = follow(t, url, { transport: 'poll', maxBackoff: 50, token: reason => reasons.push(reason) && `t${reasons.length}` });
  await ended();
  assert.deepEqual([data, reasons, errors.map(e => e.message), paused[0].delay], [['1', '2'], [undefined, 'rejected', 'rejected'], ['revoked'], 50]);
  assert.deepEqual(requests.map(r => r.headers.authorization), ['t1', 't1', 't1', 't1', 't1', 't2', 't2', 't3'].map(x => 'Bearer ' + x));
});

test('empty answers that come too early do not cause a storm of requests', async t => {
  const { url, requests } = await serve(t, page(1));
  const begun = performance.now(), pause = 100;
  const { until } = follow(t, url, { transport: 'poll', minBackoff: pause, maxBackoff: pause });
  await until(() => requests.length === 6);
  assert.ok(performance.now() - begun >= 4 * pause - 20, `${performance.now() - begun} ms`); // the first one does not wait
});

test('close ends a waiting poll and a pause between polls', async t => {
  for (const [answer, n] of [[() => {}, 1], [page(1), 2]]) {
    const { url, requests } = await serve(t, answer);
    const { live, errors, until } = follow(t, url, { transport: 'poll', minBackoff: 600000, maxBackoff: 600000 });
    await until(() => requests.length === n);
    if (n === 2) await until(() => live.state === 'open');
    await live.close();
    assert.deepEqual([live.state, errors], ['closed', []]);
  }
});

test('an event stream in place of a page is an error, not a wait without end', async t => {
  const { url } = await serve(t, stream(event(1)));
  const { errors, ended } = follow(t, url, { transport: 'poll' });
  await ended();
  assert.match(errors[0].message, /instead of events/);
});

test('a page may take longer than the server may be silent', async t => {
  const { url, requests } = await serve(t, res => {
    res.writeHead(200, { 'Content-Type': 'application/json' });
    const rest = [...`{"events":[${entry(1)}],"position":"1-e","gaps":[],"more":false}`].reverse();
    const timer = setInterval(() => rest.length ? res.write(rest.splice(-12).reverse().join('')) : res.end(clearInterval(timer)), 250);
  }, () => {});
  const { data, waits: paused, until } = follow(t, url, { transport: 'poll', idleTimeout: 3000 });
  await until(seen => seen.data.length === 1);
  assert.deepEqual([data, paused, requests.filter(r => !r.headers['last-event-id']).length], [['1'], [], 1]);
});

test('a fetch that does not stream can poll', async t => {
  const { url } = await serve(t, buffered([1, 2, 3]));
  const whole = async (...args) => {
    const response = await fetch(...args), text = await response.text();
    return { ok: response.ok, status: response.status, headers: response.headers, text: async () => text, json: async () => JSON.parse(text) };
  };
  const { data, until } = follow(t, url, { transport: 'poll', fetch: whole });
  await until(seen => seen.data.length === 3);
  assert.deepEqual(data, ['1', '2', '3']);
});

test('a handler that fails gets the same event of a page again', async t => {
  const { url, requests } = await serve(t, buffered([1, 2, 3]));
  let failures = 2;
  const { data, until } = follow(t, url, { transport: 'poll', onEvent: e => { if (e.data === '2' && failures-- > 0) throw new Error('not yet'); } });
  await until(seen => seen.data.length === 3);
  assert.deepEqual([data, requests.filter(r => !r.headers['last-event-id']).length], [['1', '2', '3'], 1]);
});

test('unknown values of options are errors that name the allowed ones', async () => {
  for (const [option, message] of [
    [{ transport: 'pol' }, "transport: 'pol' is not one of auto, stream, poll"],
    [{ until: 'now' }, "until: 'now' is not one of end"],
    [{ credentials: 'all' }, "credentials: 'all' is not one of omit, same-origin, include"],
  ]) {
    assert.throws(() => connect('http://127.0.0.1/events', option), { name: 'TypeError', message });
    await assert.rejects(read('http://127.0.0.1/events', option).next(), { name: 'TypeError', message });
  }
});
