// The form that publishes an event.

const $ = id => document.getElementById(id);

function note(text, kind) {
  $('publish-note').textContent = text;
  $('publish-note').className = 'note ' + kind;
}

async function publish({ subject, event, data, end, key }, token) {
  const body = { subject, data };
  if (end) body.end = true;
  if (event) body.event = event;
  try {
    body.data = JSON.parse(data);
  } catch { /* send as text */ }
  const headers = { 'Content-Type': 'application/json', ...(key ? { 'X-API-Key': key } : token ? { Authorization: 'Bearer ' + token } : {}) };
  try {
    const answer = await fetch(new URL('../publish', import.meta.url), { method: 'POST', headers, body: JSON.stringify(body) });
    const result = await answer.json();
    if (answer.ok) note('Stored at ' + result.position, 'good');
    else note(result.detail, 'bad');
  } catch {
    note('Not known to be stored: the server does not answer', 'bad');
  }
}

// publishForm uses the connection's token if no key is entered.
export function publishForm(offered, token) {
  if (!offered) {
    $('publish').remove();
    note('Publishing by HTTP is off (publish.enabled).', '');
    return;
  }
  $('publish').addEventListener('submit', async e => {
    e.preventDefault();
    const button = $('publish-button');
    button.setAttribute('aria-busy', 'true');
    await publish(Object.fromEntries(new FormData(e.target)), token());
    button.removeAttribute('aria-busy');
  });
}
