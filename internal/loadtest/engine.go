package loadtest

// engine opens, reads and closes connections. Its methods return at once. It passes the received bytes to
// [client], and reports to [localClients]: clientOpened and clientClosed, both with the client's shard locked.
type engine interface {
	// open connects a client unless it has a connection or is not to be connected.
	open(c *client)
	// disconnect closes a client's connection. With reset the peer receives a TCP reset.
	disconnect(c *client, reset bool)
	// pause stops reading, or continues: a slow client.
	pause(c *client, paused bool)
	// close ends everything and waits for it.
	close()
}
