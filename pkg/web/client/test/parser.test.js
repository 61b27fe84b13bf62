import test from 'node:test';
import assert from 'node:assert/strict';
import { answers, follow, pieces } from './help.mjs';

const bytes = text => new TextEncoder().encode(text);

// Reads pieces of one stream, and returns the events as [type, data, id].
async function read(t, chunks) {
  const { live, events, until } = follow(t, 'http://x/', { fetch: answers(pieces(chunks).response), minBackoff: 20000, maxBackoff: 20000 });
  await until(seen => seen.states.includes('waiting'));
  await live.close();
  return events.map(e => [e.type, e.data, e.id]);
}

const hard = '\ufeff:a comment\r\nretry: 7\r\rdata:one\nid: 1-e\n\n' +
  'event: größe 🌊\r\ndata: zwei\r\ndata:  zwei \ndata\rdata:🏄🏽‍♀️\u2028: x\r\nid:2-e\r\n\r\n' +
  'data: \ufeffthree\nid: 9\u0000\n\n' + 'event: dropped\nid: 8-e\n\n' + ':\n\n' + 'data\n\n' + 'data: four\nunknown: x\ndatum: y\nretry: 1x\nid: 4-e\n\n' +
  'data: unfinished\nid: 5-e\n';
const expected = [
  ['message', 'one', '1-e'], ['größe 🌊', 'zwei\n zwei \n\n🏄🏽‍♀️\u2028: x', '2-e'], ['message', '\ufeffthree', ''], ['message', '', ''], ['message', 'four', '4-e'],
];

test('a stream reads the same however it is cut in two', async t => {
  const all = bytes(hard);
  for (let at = 0; at <= all.length; at++) {
    assert.deepEqual(await read(t, [all.slice(0, at), all.slice(at)]), expected, `cut at ${at}`);
  }
});

test('a stream reads the same byte by byte', async t => {
  assert.deepEqual(await read(t, [...bytes(hard)].map(b => new Uint8Array([b]))), expected);
});

test('line ends of each kind', async t => {
  for (const end of ['\n', '\r', '\r\n']) {
    const text = ['data: a', 'data: b', '', 'data: c', '', ''].join(end);
    assert.deepEqual((await read(t, [bytes(text)])).map(e => e[1]), ['a\nb', 'c']);
    assert.deepEqual((await read(t, [...bytes(text)].map(b => new Uint8Array([b])))).map(e => e[1]), ['a\nb', 'c']);
  }
});

test('a megabyte in small pieces', async t => {
  const large = '0123456789 🌊 ~'.repeat(60000), all = bytes(`data: ${large}\nid: 1-e\n\n`), chunks = [];
  for (let at = 0; at < all.length; at += 1399) chunks.push(all.slice(at, at + 1399));
  const [[, data]] = await read(t, chunks);
  assert.ok(data === large);
});

test('an event without bound is not collected', async t => {
  const chunk = bytes('x'.repeat(1 << 20)), { response, pulled } = pieces([bytes('data: '), ...Array(100).fill(chunk)]);
  const { errors, ended } = follow(t, 'http://x/', { fetch: answers(response) });
  await ended();
  assert.match(errors[0].message, /too large/);
  assert.ok(pulled() < 20, `${pulled()} MB were read`);
});
