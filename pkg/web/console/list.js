// The table of events: newest first or last, bounded, drawn once a frame.

const MAX_ROWS = 1000;
// The number of characters of an event in a row: on one line, and expanded.
const MAX_LINE = 300, MAX_OPEN = 20000;

const two = n => String(n).padStart(2, '0');
const clock = ms => {
  const t = new Date(ms);
  return two(t.getHours()) + ':' + two(t.getMinutes()) + ':' + two(t.getSeconds()) + '.' + String(t.getMilliseconds()).padStart(3, '0');
};
export const duration = ms => ms < 1000 ? Math.round(ms) + ' ms' : (ms / 1000).toFixed(1) + ' s';
const clip = (text, max) => text.length > max ? text.slice(0, max) + '… (' + text.length + ' characters)' : text;

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function element(tag, className, text) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
}

function cell(className, text) {
  const td = element('td', className, text);
  td.setAttribute('role', 'cell');
  if (text) td.title = text;
  return td;
}

function row(className) {
  const tr = element('tr', className);
  tr.setAttribute('role', 'row');
  return tr;
}

function eventRow(event) {
  const tr = row(event.again ? 'again' : '');
  const delay = event.again ? 'redelivered' : event.old ? 'replayed' : event.delay === undefined ? '' : duration(event.delay);
  for (const [name, text] of [['time', clock(event.time)], ['position', event.id], ['subject', event.subject || ''], ['type', event.type], ['delay', delay]]) {
    tr.append(cell(name, text));
  }
  const data = cell('data'), button = element('button', '', clip(event.data, MAX_LINE) || '(empty)');
  button.type = 'button';
  button.tabIndex = -1;
  button.setAttribute('aria-expanded', 'false');
  data.append(button);
  tr.append(data);
  tr.event = event;
  return tr;
}

const matches = (event, words) => words.every(w => ((event.subject || '') + '\n' + event.type + '\n' + event.data).toLowerCase().includes(w));

// newList renders into a table body within a scroller. It calls `changed` after each update.
export function newList({ body, scroller, changed }) {
  let waiting = [], words = [], first = true, paused = false, due = false, current;

  const draw = () => {
    due = false;
    if (paused) return changed();
    const atEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 40;
    const part = document.createDocumentFragment();
    for (const tr of waiting) {
      if (first) part.prepend(tr);
      else part.append(tr);
    }
    waiting = [];
    if (first) body.prepend(part);
    else body.append(part);
    while (body.rows.length > MAX_ROWS) (first ? body.lastChild : body.firstChild).remove();
    if (!first && atEnd) scroller.scrollTop = scroller.scrollHeight;
    changed();
  };
  const later = () => {
    if (due) return;
    due = true;
    // A page in the background gets no frames.
    if (document.hidden) setTimeout(draw, 200);
    else requestAnimationFrame(draw);
  };
  const add = tr => {
    waiting.push(tr);
    if (waiting.length > MAX_ROWS) waiting.splice(0, waiting.length - MAX_ROWS);
    later();
    return tr;
  };

  const toggle = button => {
    const open = button.getAttribute('aria-expanded') === 'false', { data } = button.closest('tr').event;
    button.setAttribute('aria-expanded', open);
    button.textContent = open ? clip(pretty(data), MAX_OPEN) : clip(data, MAX_LINE) || '(empty)';
  };
  const focus = button => {
    if (!button) return;
    if (current) current.tabIndex = -1;
    current = button;
    current.tabIndex = 0;
    current.focus();
  };
  const step = (tr, next) => {
    do tr = tr[next]; while (tr && (tr.hidden || !tr.event));
    return tr && tr.querySelector('button');
  };
  const moves = {
    ArrowDown: tr => tr ? step(tr, 'nextSibling') : step({ nextSibling: body.firstChild }, 'nextSibling'),
    ArrowUp: tr => tr && step(tr, 'previousSibling'),
    Home: () => step({ nextSibling: body.firstChild }, 'nextSibling'),
    End: () => step({ previousSibling: body.lastChild }, 'previousSibling'),
  };
  scroller.addEventListener('keydown', e => {
    const move = moves[e.key];
    if (!move || e.ctrlKey || e.altKey || e.metaKey) return;
    e.preventDefault();
    focus(move(e.target.closest('tbody tr')));
  });
  body.addEventListener('click', e => {
    const button = e.target.closest('button');
    if (button) toggle(button);
  });

  return {
    get held() { return waiting.length; },
    get rows() { return body.rows.length; },
    add(event) {
      const tr = eventRow(event);
      tr.hidden = !matches(event, words);
      add(tr);
    },
    // mark adds a line without an event, and returns a function to change its text.
    mark(text, bad) {
      const tr = add(row('mark' + (bad ? ' bad' : ''))), td = cell('', text);
      td.colSpan = 6;
      td.removeAttribute('title');
      tr.append(td);
      return changed => { td.textContent = changed; };
    },
    clear() {
      waiting = [];
      current = undefined;
      body.replaceChildren();
      changed();
    },
    pause(yes) {
      paused = yes;
      later();
    },
    newestFirst(yes) {
      if (first === yes) return;
      first = yes;
      body.append(...[...body.rows].reverse());
      scroller.scrollTop = first ? 0 : scroller.scrollHeight;
    },
    filter(text) {
      words = text.toLowerCase().split(/\s+/).filter(Boolean);
      for (const tr of [...body.rows, ...waiting]) if (tr.event) tr.hidden = !matches(tr.event, words);
    },
  };
}
