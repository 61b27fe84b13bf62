// The console: connects the form, the feed, the table, the chart and the status of the node.

import { newFeed } from './feed.js';
import { newList, duration } from './list.js';
import { newChart } from './chart.js';
import { watchNode } from './node.js';
import { publishForm } from './publish.js';

const $ = id => document.getElementById(id), fields = $('connect').elements;
const plural = (n, word) => n.toLocaleString('en') + ' ' + word + (n === 1 ? '' : 's');
const fromHelp = $('from-help').textContent;
let received = 0, redelivered = 0, told, paused = false, complete = false;

function state(name, text) {
  $('state').dataset.state = name;
  if ($('state-text').textContent !== text) $('state-text').textContent = text;
  const on = name !== 'closed' && name !== 'refused';
  for (const [id, off] of [['disconnect', !on], ['cut', name !== 'open']]) {
    if (off && document.activeElement === $(id)) $(id === 'cut' && on ? 'disconnect' : 'connect-button').focus();
    $(id).disabled = off;
  }
}

function note(text, bad) {
  $('connection-note').textContent = text;
  $('connection-note').className = 'note' + (bad ? ' bad' : '');
}

function count() {
  let text = received.toLocaleString('en') + ' received';
  if (redelivered) text += ', ' + redelivered.toLocaleString('en') + ' redelivered';
  if (paused) text += ', ' + list.held + ' held';
  $('empty').hidden = received > 0;
  if ($('count').textContent !== text) $('count').textContent = text;
}

const list = newList({ body: $('rows'), scroller: $('scroller'), changed: count });
const chart = newChart();

const awayText = away => (away.cut ? 'Cut for ' : 'Disconnected for ') + duration(away.ms) + ', ' + plural(away.redelivered, 'event') + ' redelivered';

const feed = newFeed({
  state(name, { error, delay, cut }) {
    if (name === 'open') state('open', 'Connected');
    else if (name === 'closed') state(error ? 'refused' : 'closed', error ? 'Rejected' : complete ? 'Complete' : 'Not connected');
    else if (cut) state('waiting', 'Cut, reconnects automatically');
    else if (name === 'waiting') state('waiting', 'Connection lost, reconnects in ' + duration(delay));
    else state('connecting', 'Connecting');
    if (name === 'open') note('');
    else if (error && !cut) note(error.message, true);
  },
  open(open, away) {
    told = away ? list.mark(awayText(away)) : undefined;
    if (!away) list.mark('Connected to ' + open.stream + (open.resumed ? ', resumed after ' : ', after ') + open.position + ': ' + open.subjects.join(', '));
  },
  event(event, away) {
    received++;
    if (event.again) {
      redelivered++;
      told(awayText(away));
    }
    chart.add(event);
    list.add(event);
  },
  gap(gap) {
    list.mark('Gap (' + gap.reason + '): requested ' + gap.requested + ', continues after ' + gap.continues_after + '. The events between cannot be redelivered.', true);
  },
  end() {
    complete = true; // the connection closes next
    list.mark('Complete: all requested subjects have ended.');
  },
  error() {}, // shown with the state
});

function start() {
  note('');
  complete = false;
  feed.start({
    path: fields.feed.value, user: fields.user ? fields.user.value.trim() : '', token: fields.token.value.trim(),
    subjects: fields.subject.value.split(/[\s,]+/).filter(Boolean), ...fields.until.checked ? { until: 'end' } : { from: fields.from.value.trim() || 'new' },
  });
}

function pressed(button, then) {
  button.addEventListener('click', () => {
    const yes = button.getAttribute('aria-pressed') !== 'true';
    button.setAttribute('aria-pressed', yes);
    then(yes, button);
  });
}

function listen() {
  $('connect').addEventListener('submit', e => {
    e.preventDefault();
    start();
  });
  $('disconnect').addEventListener('click', () => feed.stop());
  // Such a connection starts with the first event of its subjects, and a later one at the stored position.
  let entered = fields.from.value;
  const untilChanged = () => {
    const off = fields.until.checked;
    if (off) entered = fields.from.value;
    fields.from.disabled = off;
    fields.from.value = off ? '' : entered;
    fields.from.placeholder = off ? 'the first event' : '';
    $('from-help').textContent = off ? 'Starts with the first event; Connect again resumes at the stored position.' : fromHelp;
  };
  fields.until.addEventListener('change', untilChanged);
  untilChanged();
  $('cut').addEventListener('click', () => feed.cut());
  $('clear').addEventListener('click', () => {
    received = redelivered = 0;
    list.clear();
  });
  $('filter').addEventListener('input', e => list.filter(e.target.value));
  pressed($('order'), yes => list.newestFirst(yes));
  pressed($('pause'), yes => {
    paused = yes;
    list.pause(yes);
  });
}

// /?user=7&subject=a.b&from=all fills in the form; until=end selects the end of the subjects.
async function begin() {
  const settings = await (await fetch(new URL('settings.json', import.meta.url))).json(), asked = new URLSearchParams(location.search);
  for (const { name, path } of settings.feeds) fields.feed.add(new Option(name, path));
  if (!settings.users) $('user-field').remove();
  for (const name of ['user', 'from']) if (asked.has(name) && fields[name]) fields[name].value = asked.get(name);
  fields.until.checked = asked.get('until') === 'end';
  fields.subject.value = asked.getAll('subject').join(' ');
  publishForm(settings.publish, () => fields.token.value.trim());
  listen();
  watchNode();
  if (settings.users) start(); // otherwise the user enters a token first
}

begin();
