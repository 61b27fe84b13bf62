// Rate and delay over the last three minutes, a point each second.

import { duration } from './list.js';

const SECONDS = 180, HEIGHT = 48, TOP = 3, MAX_SAMPLES = 5000;

const percentile = (sorted, p) => sorted[Math.min(sorted.length - 1, Math.floor(p * sorted.length))];
// The next of 1, 2, 5, 10, 20, ...
const nice = v => {
  const ten = 10 ** Math.floor(Math.log10(Math.max(v, 1)));
  return [1, 2, 5, 10].map(n => n * ten).find(n => n >= v);
};

// A path through points; undefined breaks it, and a point alone becomes a short line.
function path(values, max) {
  let d = '', pen = false;
  values.forEach((v, i) => {
    if (v === undefined) pen = false;
    else {
      const y = (HEIGHT - .5 - v / max * (HEIGHT - TOP)).toFixed(1), x = SECONDS - values.length + i;
      d += (pen ? 'L' : 'M') + x + ' ' + y + 'H' + (x + 1);
      pen = true;
    }
  });
  return d;
}

const $ = id => document.getElementById(id);

function describe(points) {
  const rates = points.map(p => p.rate), top = Math.max(0, ...rates), all = rates.reduce((a, b) => a + b, 0);
  $('rate').setAttribute('aria-label', `Events a second over the last ${points.length} seconds: ${all} in all, at most ${top} in one second`);
  const delays = points.filter(p => p.p95 !== undefined);
  $('delay').setAttribute('aria-label', delays.length
    ? `Delay from stored to received: in the latest second with events half within ${duration(delays.at(-1).p50)}, 95 of 100 within ${duration(delays.at(-1).p95)}; worst second ${duration(Math.max(...delays.map(p => p.p95)))}`
    : 'No delays yet');
}

function draw(points) {
  const rates = points.map(p => p.rate), scale = nice(Math.max(1, ...rates)), line = path(rates, scale);
  $('rate').querySelector('.line').setAttribute('d', line);
  $('rate').querySelector('.area').setAttribute('d', line && line + 'V' + HEIGHT + 'H' + (SECONDS - rates.length) + 'Z');
  $('rate-now').textContent = rates.at(-1) + (rates.at(-1) === 1 ? ' event/s' : ' events/s');
  $('rate-scale').textContent = 'to ' + scale + '/s, 3 minutes';
  const top = nice(Math.max(1, ...points.map(p => p.p95 || 0)));
  $('delay').querySelector('.high').setAttribute('d', path(points.map(p => p.p95), top));
  $('delay').querySelector('.line:not(.high)').setAttribute('d', path(points.map(p => p.p50), top));
  $('delay-scale').textContent = 'to ' + duration(top);
  const latest = points.findLast(p => p.p95 !== undefined);
  if (!latest) $('delay-now').textContent = 'no live events yet';
  else {
    const key = (name, text) => Object.assign(document.createElement('span'), { className: name, textContent: text });
    $('delay-now').replaceChildren(key('key', 'p50'), ' ' + duration(latest.p50) + ' ', key('key high', 'p95'), ' ' + duration(latest.p95));
  }
}

export function newChart() {
  const points = [];
  let rate = 0, delays = [], seconds = 0;
  setInterval(() => {
    delays.sort((a, b) => a - b);
    points.push({ rate, p50: percentile(delays, .5), p95: percentile(delays, .95) });
    if (points.length > SECONDS) points.shift();
    rate = 0;
    delays = [];
    if (document.hidden) return;
    draw(points);
    if (seconds++ % 5 === 0) describe(points);
  }, 1000);
  return {
    add(event) {
      rate++;
      if (event.delay !== undefined && delays.length < MAX_SAMPLES) delays.push(event.delay);
    },
  };
}
