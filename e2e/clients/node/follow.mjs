// Follows a feed with a client library of others and prints the number that each event begins
// with, a line each. A line "ended" tells that the library has given up.
const [, , library, url] = process.argv;

const took = data => console.log(parseInt(data));
const asEventSource = (EventSource, options) => {
  const source = new EventSource(url, options);
  source.onmessage = e => took(e.data);
  source.onerror = e => source.readyState === 2 && console.log('ended ' + (e && e.message));
};

const follow = {
  eventsource: async () => asEventSource((await import('eventsource')).EventSource),
  'eventsource-client': async () => {
    const { createEventSource } = await import('eventsource-client');
    createEventSource({ url, onMessage: e => e.event || took(e.data) });
  },
  'launchdarkly-eventsource': async () => {
    const { EventSource } = (await import('launchdarkly-eventsource')).default;
    asEventSource(EventSource, { initialRetryDelayMillis: 100 });
  },
};
await follow[library]();
