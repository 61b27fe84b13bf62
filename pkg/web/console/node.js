// The status of the node, requested from /readyz every two seconds while the page is visible.

const EVERY = 2000;
const $ = id => document.getElementById(id);
const whole = n => n.toLocaleString('en');
const range = (first, last) => last < first ? 'none' : whole(first) + ' – ' + whole(last);

function size(bytes) {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  let i = 0;
  for (; bytes >= 1024 && i < units.length - 1; i++) bytes /= 1024;
  return (i ? bytes.toFixed(1) : bytes) + ' ' + units[i];
}

// Changes texts in place, so that the layout is stable and screen readers do not repeat unchanged texts.
function facts(dl, pairs) {
  while (dl.children.length > 2 * pairs.length) dl.lastChild.remove();
  pairs.forEach(([name, value], i) => {
    if (!dl.children[2 * i]) dl.append(document.createElement('dt'), document.createElement('dd'));
    for (const [e, text] of [[dl.children[2 * i], name], [dl.children[2 * i + 1], String(value)]]) {
      if (e.textContent !== text) e.textContent = text;
    }
  });
}

function stream(name, stored, window) {
  const id = 'stream-' + name;
  let part = $(id);
  if (!part) {
    part = Object.assign(document.createElement('div'), { id });
    part.append(Object.assign(document.createElement('h3'), { textContent: name }), document.createElement('dl'));
    $('node-streams').append(part);
  }
  const all = window ? window.from_window + window.from_stream : 0;
  facts(part.querySelector('dl'), [
    ...(stored ? [['Stored', range(stored.first, stored.last)], ['Epoch', stored.epoch], ['Consumers', whole(stored.consumers)]] : []),
    ...(window ? [
      ['In memory', range(window.first, window.last)], ['Events', whole(window.events)], ['Size', size(window.bytes)],
      ['Resumes from memory', all ? Math.round(100 * window.hit_ratio) + ' % of ' + whole(all) : 'none yet'],
    ] : []),
  ]);
}

function show(health) {
  const wrong = Object.entries(health.checks || {}).filter(([, text]) => text !== 'ok').map(([name, text]) => name + ': ' + text);
  const words = { ok: 'Ready', degraded: 'Degraded', unavailable: 'Unavailable' };
  $('node-status').dataset.status = health.status;
  $('node-status').textContent = (words[health.status] || health.status) + (wrong.length ? ': ' + wrong.join('; ') : '');
  const refused = Object.values(health.rejections || {}).reduce((a, b) => a + b, 0);
  facts($('node-facts'), [
    ['Name', health.node], ['NATS', ((health.checks || {}).nats === 'ok' ? 'connected' : 'lost') + (health.nats ? ', ' + health.nats : '')],
    ['Connections', whole(health.connections)], ['Catching up', whole(health.replays)], ['Rejected', whole(refused)],
  ]);
  const names = new Set([...Object.keys(health.stored || {}), ...Object.keys(health.windows || {})]);
  for (const name of [...names].sort()) stream(name, (health.stored || {})[name], (health.windows || {})[name]);
}

export function watchNode() {
  let busy = false;
  const refresh = async () => {
    if (document.hidden || busy) return;
    busy = true;
    try {
      show(await (await fetch(new URL('../readyz', import.meta.url), { cache: 'no-store' })).json());
    } catch {
      $('node-status').dataset.status = 'unavailable';
      $('node-status').textContent = 'The node does not answer';
    }
    busy = false;
  };
  refresh();
  setInterval(refresh, EVERY);
  document.addEventListener('visibilitychange', refresh);
}
