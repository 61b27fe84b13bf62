/**
 * Follows a feed from the stored position, and reconnects when a connection ends. It ends with
 * `close`, an abort of `options.signal`, or an error that a retry cannot fix. It returns
 * immediately. Errors of the server and the network are reported to `onState` and `onError`.
 *
 * Each event after the stored position is passed to `onEvent` once, in order. Before events that
 * cannot be delivered, `onGap` is called.
 *
 * @param url the feed, absolute or relative to the page. Do not put a token into it: the URL is a
 *   part of the storage key.
 * @throws TypeError for a URL that cannot be parsed, and for unknown values of `transport`, `until` and `credentials`.
 */
export function connect(url: string | URL, options?: Options): Connection;

/**
 * Follows a feed in a loop: `for await (const event of read(url, { until: 'end' }))`. The request is sent
 * when the loop begins. The position is stored when the loop requests the next event. While the loop body
 * runs, nothing is read from the network.
 *
 * The loop ends at the end of the subjects (`until`) and at an abort of `options.signal`. It throws an
 * error that a retry cannot fix. `break`, `return` and an exception in the loop body close the connection;
 * the event of that pass stays unhandled and is delivered again at the next start.
 */
export function read(url: string | URL, options?: Omit<Options, 'onEvent'>): AsyncGenerator<TidemarkEvent, void, void>;

export interface Connection {
  readonly state: State;
  /** The position of the last handled event; undefined before the first. */
  readonly position: string | undefined;
  /**
   * Ends a wait, and checks whether the connection is alive. Not needed in browsers: there the library
   * handles `online`, `visibilitychange`, `pageshow` and `resume` itself.
   */
  wake(): void;
  /**
   * Closes the connection. Afterwards only `onState` is called. Resolves when a running handler has
   * ended and its position is stored, so do not await it in a handler.
   */
  close(): Promise<void>;
}

/**
 * `connecting`: the request was sent. `open`: the server accepted the connection. `waiting`: a pause
 * before the next attempt. `closed`: the client does not reconnect. With `shared` it is the state of
 * the shared connection.
 */
export type State = 'connecting' | 'open' | 'waiting' | 'closed';

export interface Options {
  /** Additional subjects (`?subject=`), within the limits of the feed. At most 64. */
  subjects?: readonly string[];
  /** Omits the feed's own subjects (`?only=1`). */
  only?: boolean;
  /**
   * The starting point without a stored position: `new` (the server's default), `all`, `last`, a
   * sequence, an RFC 3339 time, or a duration such as `10m`.
   */
  from?: string;
  /**
   * `end` requests the events of `subjects` from the first one until all these subjects are complete. Then
   * `onEnd` is called, the state is `closed`, and no request follows. It implies `only`, and `subjects`
   * cannot have wildcards.
   */
  until?: 'end';
  /**
   * `stream`: one response that stays open. `poll`: a request for each page of events, for networks that
   * hold streams back. `auto` (the default) streams, and polls after two streams without data within
   * `firstByteTimeout`. It tries a stream again after `streamRetry`, and when the network changes. The
   * position is the same in both, so a change neither loses nor repeats events.
   */
  transport?: 'auto' | 'stream' | 'poll';
  /**
   * With `auto`, the longest time until the first data of a stream, in ms; 5000. A node sends data at
   * the latest one second after the request.
   */
  firstByteTimeout?: number;
  /** With `auto`, the time of polls before a stream is tried again, in ms; 300000. */
  streamRetry?: number;
  /**
   * The token, or a function that returns one. The function is called before the first connect and
   * whenever the server requires a new token. If it throws or rejects, it is called again after a
   * pause. The token is sent as `Authorization: Bearer`, by EventSource as `?access_token=`.
   */
  token?: string | ((reason?: TokenReason) => string | undefined | Promise<string | undefined>);
  /**
   * An additional part of the key of stored positions and shared connections. It is not needed to
   * separate accounts on the same machine: the server returns a tag for each (`GET /identity`, next to
   * the feed). If the server has no tags, this option separates accounts, or else the token's `sub`.
   */
  identity?: string;
  /** Additional request headers. EventSource does not send them. */
  headers?: Record<string, string>;
  /** The option of fetch: `include` sends cookies to other origins. Default `same-origin`. */
  credentials?: RequestCredentials;
  /**
   * Stores the position, by URL (with subjects) and identity. Default `localStorage`, or memory if
   * it is blocked; null means memory. With `sessionStorage` each tab has its own position. If the
   * storage throws or rejects, the error is reported to `onError` once, and memory is used.
   */
  storage?: PositionStorage | null;
  /** One connection for all tabs of this origin with the same URL, subjects and identity. */
  shared?: boolean;
  /** Closes the connection when aborted. */
  signal?: AbortSignal;

  /**
   * Called for each published event, one at a time. If it returns a promise, the client waits for it and
   * reads nothing from the network. Then the position is stored. If it throws or rejects, `onError` is
   * called, and the event is delivered again after a pause of `minBackoff` to `maxBackoff`. Later events
   * wait.
   */
  onEvent?(event: TidemarkEvent): unknown;
  /**
   * Called at the start of each stream, not for polls. onOpen, onGap, onClose and onEnd are called in
   * order with `onEvent`.
   */
  onOpen?(open: Open): unknown;
  /** Called when events cannot be delivered, before the next event. */
  onGap?(gap: Gap): unknown;
  /** Called when the server closes a stream. The client reconnects by itself. */
  onClose?(close: Close): unknown;
  /** With `until`: called after the last event. If it fails, it is called again, as `onEvent` is. */
  onEnd?(): unknown;
  /** Called for each change of `state`. `error` is the reason for `waiting` or `closed`. */
  onState?(state: State, more?: { error?: TidemarkError; delay?: number }): void;
  /**
   * Called for errors that need attention: a rejected request that leads to `closed`, an error of a
   * handler (with the event), an error of the storage. Default `console.error`. A lost connection is
   * reported to `onState` only.
   */
  onError?(error: TidemarkError, event?: TidemarkEvent): void;

  /** Limits of the pause before an attempt, in ms; 500 and 30000. The server may raise the lower limit. */
  minBackoff?: number;
  maxBackoff?: number;
  /** The longest time without data from the server, in ms; 45000, three default heartbeats. */
  idleTimeout?: number;

  /**
   * Sends the requests; it must stream the body. Defaults to the global fetch, if that streams. null
   * selects EventSource, and the global fetch for polls.
   */
  fetch?: ((url: string, init: any) => Promise<any>) | null;
  /** Used if fetch cannot stream. Defaults to the global EventSource. Without both, the client polls. */
  EventSource?: (new (url: string, init?: any) => any) | null;
  /** The published event types. EventSource requires them: it does not deliver other types. */
  types?: readonly string[];
}

/**
 * The reason for a new token. undefined: the first token. `token-expired`, `revoked`: the server closed
 * the connection for this reason. `rejected`: the server answered 401; a second 401 is an error. With
 * EventSource `rejected` follows every failed connect, as a 401 looks like a node that is down.
 */
export type TokenReason = undefined | 'token-expired' | 'revoked' | 'rejected';

/** The common methods of localStorage, sessionStorage and React Native's AsyncStorage. */
export interface PositionStorage {
  getItem(key: string): string | null | undefined | Promise<string | null | undefined>;
  setItem(key: string, value: string): unknown;
}

export interface TidemarkEvent {
  /** `message` if the publisher set none. */
  type: string;
  data: string;
  /** Its position, such as `1042-k7f3q9`. */
  id: string;
  /** The subject that it was published to. */
  subject?: string;
  /** When the stream stored it, such as `2026-11-27T10:00:00.123Z`. */
  time?: string;
}

export interface Open {
  stream: string;
  position: string;
  /** The connection continues at the client's position. */
  resumed: boolean;
  /** The approximate number of events to replay first. */
  pending: number;
  subjects: string[];
  /** An opaque tag of the connection's account; see `GET /identity`. */
  identity?: string;
  /** The client's position belongs to another account and was ignored. */
  identity_changed?: boolean;
}

export interface Gap {
  reason: 'trimmed' | 'epoch' | 'future' | 'malformed' | 'possible';
  requested: string;
  first_available: string;
  continues_after: string;
}

export interface Close {
  reason: 'drain' | 'max-age' | 'idle' | 'token-expired' | 'revoked' | 'overload' | 'limit' | 'admin';
  retry_ms: number;
  message: string;
}

export interface TidemarkError extends Error {
  /** The status of a response without events. */
  status?: number;
  /** The response body, if it was application/problem+json. */
  problem?: { type?: string; title?: string; detail?: string; status?: number };
}
