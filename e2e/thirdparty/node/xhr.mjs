// XMLHttpRequest for libraries that need it, as React Native has it: the text of the response grows
// while it is received, and the status stays after the connection was lost.
import http from 'node:http';
import https from 'node:https';

export class XMLHttpRequest extends EventTarget {
  static UNSENT = 0;
  static OPENED = 1;
  static HEADERS_RECEIVED = 2;
  static LOADING = 3;
  static DONE = 4;

  readyState = 0;
  status = 0;
  responseText = '';
  withCredentials = false;
  timeout = 0;
  #headers = {};

  get response() { return this.responseText; }

  open(method, url) {
    Object.assign(this, { method, url });
    this.#enter(1);
  }

  setRequestHeader(name, value) { this.#headers[name] = value; }

  getAllResponseHeaders() {
    return Object.entries(this.incoming?.headers ?? {}).map(([name, value]) => `${name}: ${value}\r\n`).join('');
  }

  send(body) {
    const { request } = this.url.startsWith('https:') ? https : http;
    this.outgoing = request(this.url, { method: this.method, headers: this.#headers, agent: false }, incoming => {
      this.incoming = incoming;
      this.status = incoming.statusCode;
      this.#enter(2);
      incoming.setEncoding('utf8');
      incoming.on('data', text => {
        this.responseText += text;
        this.#enter(3);
        this.#tell('progress');
      });
      incoming.on('end', () => this.#finish(incoming.complete ? 'load' : 'error'));
      incoming.on('error', () => this.#finish('error'));
    });
    this.outgoing.on('error', () => this.#finish('error'));
    this.outgoing.end(body);
  }

  abort() {
    this.outgoing?.destroy();
    this.#finish('abort');
  }

  #finish(how) {
    if (this.readyState === 4) return;
    if (how === 'error') this.responseText = 'the connection was lost'; // in place of the received text
    this.#enter(4);
    this.#tell(how);
  }

  #enter(state) {
    this.readyState = state;
    this.#tell('readystatechange');
  }

  #tell(type) {
    const event = new Event(type);
    this.dispatchEvent(event);
    this['on' + type]?.(event);
  }
}
