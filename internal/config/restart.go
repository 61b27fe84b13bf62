package config

import "reflect"

// NeedRestart returns the names of changed keys without an effect on a running node. SIGHUP applies the other changed
// keys. The order is that of the reference.
func NeedRestart(running, later Config) (names []string) {
	for _, k := range configKeys {
		if k.reload == tagValue {
			continue
		}
		if !reflect.DeepEqual(k.field(&running), k.field(&later)) {
			names = append(names, k.name)
		}
	}
	return names
}
