//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package natsd

import "os"

func lockFile(*os.File) error { return nil }
