// Package httpguard decides by host name and origin which requests a listener serves.
//
//   - [Hosts] answers 421 to requests for host names that are not served, which stops pages whose name was
//     rebound to this machine.
//   - [Origins] lets pages of other origins publish only where http.cors.origins names them, and logs pages
//     whose browser hides an answer from them.
//   - [IsCrossOrigin] is for handlers that no page of another origin may use at all.
package httpguard
