// Follows a feed with a client library of others and prints the number that each event begins
// with, a line each. A line "ended" reports that the library has given up.
import { readFile } from 'node:fs/promises';

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
  'event-source-polyfill': async () => asEventSource((await import('event-source-polyfill')).default.EventSourcePolyfill),
  'sse.js': async () => {
    globalThis.XMLHttpRequest = (await import('./xhr.mjs')).XMLHttpRequest;
    const { SSE } = await import('sse.js');
    new SSE(url, { autoReconnect: true }).onmessage = e => took(e.data);
  },
  'reconnecting-eventsource': async () => {
    const { EventSource } = await import('eventsource');
    const { default: library } = await import('reconnecting-eventsource');
    // An EventSource that gives up at each error, as Firefox's does where a port is closed.
    class GivesUp extends EventSource {
      set onerror(handler) {
        super.onerror = e => { this.close(); handler(e); };
      }
    }
    const source = new (library.default ?? library)(url, { eventSourceClass: GivesUp, max_retry_time: 300 });
    source.addEventListener('message', e => took(e.data)); // with onmessage alone it remembers no position
  },
  'react-native-sse': async () => {
    globalThis.XMLHttpRequest = (await import('./xhr.mjs')).XMLHttpRequest;
    // Its source is a module that its package does not declare as one; React Native's bundler does not mind.
    const source = await readFile(new URL('node_modules/react-native-sse/src/EventSource.js', import.meta.url), 'utf8');
    const { default: EventSource } = await import('data:text/javascript,' + encodeURIComponent(source));
    const client = new EventSource(url);
    client.addEventListener('message', e => took(e.data));
    client.addEventListener('error', e => { // it gives up where it is not answered
      if (e.xhrStatus === 0) setTimeout(() => client.open(), 100);
    });
  },
};
await follow[library]();
