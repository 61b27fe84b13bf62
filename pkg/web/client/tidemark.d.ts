/**
 * Follows a feed from its place in the storage, through any number of connections, until
 * `close`, an abort of `options.signal`, or an error after which going on is no use. It
 * returns at once and never throws for what the server or the network does.
 *
 * Between the position that is stored and now every event is handed to `onEvent` once, in
 * order; where that is no longer possible `onGap` is called first.
 *
 * @param url the feed, absolute or relative to the page. A token does not belong in it: it
 *   would become part of the storage's key.
 * @throws TypeError for a URL that cannot be parsed.
 */
export function connect(url: string | URL, options?: Options): Connection;

export interface Connection {
  readonly state: State;
  /** The position of the last event that was handled; undefined while there is none. */
  readonly position: string | undefined;
  /**
   * Ends a wait, and looks whether the connection is still alive. Browsers need no call of it:
   * the library hears `online`, `visibilitychange`, `pageshow` and `resume` itself.
   */
  wake(): void;
  /**
   * Ends it. No handler is called again but `onState`. Resolves when a handler that is still
   * running has ended and its position is stored, so do not await it in a handler.
   */
  close(): Promise<void>;
}

/**
 * `connecting`: asked for a stream. `open`: the server has answered with one. `waiting`: until
 * the next attempt. `closed`: for good. With `shared` it is the state of the connection that
 * all tabs share.
 */
export type State = 'connecting' | 'open' | 'waiting' | 'closed';

export interface Options {
  /** Subjects beyond the feed's own (`?subject=`), as the feed allows them. At most 64. */
  subjects?: readonly string[];
  /** Leaves out the feed's own subjects (`?only=1`). */
  only?: boolean;
  /**
   * Where to begin while no position is stored: `new` (the server's default), `all`, `last`, a
   * sequence, an RFC 3339 time, or a duration such as `10m`.
   */
  from?: string;
  /**
   * The token, or a function that gets one, which is asked at the first connect and whenever
   * the server wants another. An error of it is retried after a while. It is sent as
   * `Authorization: Bearer`, by EventSource as `?access_token=`.
   */
  token?: string | ((reason?: TokenReason) => string | undefined | Promise<string | undefined>);
  /**
   * A further part of the key of stored positions and shared connections. Accounts on the same
   * machine are kept apart without it, by the tag that the server gives each (`GET /identity`,
   * beside the feed); where the server has none, by this, else by the token's `sub`.
   */
  identity?: string;
  /** More request headers. EventSource sends none. */
  headers?: Record<string, string>;
  /** As of fetch: `include` sends cookies to other origins. Default `same-origin`. */
  credentials?: RequestCredentials;
  /**
   * Keeps the position, by URL (with subjects) and identity. Default `localStorage`, memory
   * where that is blocked; null is memory. `sessionStorage` gives each tab a position of its
   * own. One that throws or rejects is reported to `onError` once, and memory takes its place.
   */
  storage?: PositionStorage | null;
  /** One connection for all tabs of this origin with the same URL, subjects and identity. */
  shared?: boolean;
  /** Closes the connection when aborted. */
  signal?: AbortSignal;

  /**
   * Called for each published event, one after the other: the next waits until a promise has
   * settled, and nothing is read meanwhile. Then the position is stored. If it throws or
   * rejects, `onError` is told, and the same event comes again after a pause of `minBackoff` to
   * `maxBackoff`; those behind it wait.
   */
  onEvent?(event: TidemarkEvent): unknown;
  /** Called for each start of a stream. Like the two below it is called like `onEvent`. */
  onOpen?(open: Open): unknown;
  /** Called when events cannot be delivered any more, before those that can. */
  onGap?(gap: Gap): unknown;
  /** Called when the server ends a stream. The client comes back by itself. */
  onClose?(close: Close): unknown;
  /** Called for each change of `state`. `error` says why it waits or is closed. */
  onState?(state: State, more?: { error?: TidemarkError; delay?: number }): void;
  /**
   * Called for what needs attention: a refusal after which the state is `closed`, what a handler
   * threw (with the event), a storage that fails. Default `console.error`. A connection that was
   * merely lost is told to `onState` alone.
   */
  onError?(error: TidemarkError, event?: TidemarkEvent): void;

  /** Bounds of the pause before an attempt, in ms; 500 and 30000. The server may raise the lower. */
  minBackoff?: number;
  maxBackoff?: number;
  /** How long the server may send nothing, in ms; 45000, three heartbeats of its default. */
  idleTimeout?: number;

  /**
   * Makes the requests; it must stream the body. Default the global one, if it does. null uses
   * EventSource.
   */
  fetch?: ((url: string, init: any) => Promise<any>) | null;
  /** Used where no fetch can stream. Default the global one. */
  EventSource?: (new (url: string, init?: any) => any) | null;
  /** The event types that are published here: EventSource tells of no others. */
  types?: readonly string[];
}

/**
 * Why another token is wanted: undefined for the first; `token-expired` and `revoked` as the
 * server ended the stream; `rejected` after a 401, where one that is refused again is an error, and
 * whenever an EventSource got no stream, as it cannot tell a 401 from a node that is down.
 */
export type TokenReason = undefined | 'token-expired' | 'revoked' | 'rejected';

/** What localStorage, sessionStorage and React Native's AsyncStorage have. */
export interface PositionStorage {
  getItem(key: string): string | null | undefined | Promise<string | null | undefined>;
  setItem(key: string, value: string): unknown;
}

export interface TidemarkEvent {
  /** `message` where the publisher gave none. */
  type: string;
  data: string;
  /** Its position, such as `1042-k7f3q9`. */
  id: string;
}

export interface Open {
  stream: string;
  position: string;
  /** It goes on where this client left off. */
  resumed: boolean;
  /** About how many events come first, to catch up. */
  pending: number;
  subjects: string[];
  /** An opaque tag of the account that the connection is for; see `GET /identity`. */
  identity?: string;
  /** The client's position was that of another account, and was ignored. */
  identity_changed?: boolean;
}

export interface Gap {
  reason: 'trimmed' | 'epoch' | 'future' | 'malformed' | 'possible';
  requested: string;
  first_available: string;
  continues_after: string;
}

export interface Close {
  reason: 'drain' | 'max-age' | 'idle' | 'token-expired' | 'revoked' | 'overload' | 'limit';
  retry_ms: number;
  message: string;
}

export interface TidemarkError extends Error {
  /** The status of an answer that was no stream. */
  status?: number;
  /** The answer itself, if it was application/problem+json. */
  problem?: { type?: string; title?: string; detail?: string; status?: number };
}
