package streambackup

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
)

// config decodes the fields known to this program.
func (m metadata) config() (jetstream.StreamConfig, error) {
	var cfg jetstream.StreamConfig
	raw, err := json.Marshal(m.Config)
	if err == nil {
		err = json.Unmarshal(raw, &cfg)
	}
	if err != nil {
		return cfg, fmt.Errorf("%s: config: %w; the backup is damaged, use another one", metadataFile, err)
	}
	return cfg, nil
}

// check rejects a configuration that does not fit the directory's name and the options. A backup may come
// from an untrusted source, and its configuration decides which subjects the server stores, and which
// streams it copies.
func (o RestoreOptions) check(backup metadata, dir string) error {
	cfg, err := backup.config()
	if err != nil {
		return err
	}
	if err := checkName(cfg.Name, dir); err != nil {
		return err
	}
	if err := o.checkSubjects(cfg); err != nil {
		return err
	}
	if o.AllowExternal {
		return nil
	}
	for _, source := range copies(cfg) {
		if source.External != nil {
			return fmt.Errorf("the stream copies %s from another account or domain (external, api %q); if that is intended, repeat with --allow-external", source.Name, source.External.APIPrefix)
		}
	}
	return nil
}

// checkName compares a name with the name of the directory, which an operator has seen.
func checkName(stream, dir string) error {
	unfit := func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r) || strings.ContainsRune(`.*>/\`, r)
	}
	if strings.ContainsFunc(stream, unfit) {
		return fmt.Errorf("%s: %q is not the name of a stream; use another backup", metadataFile, stream)
	}
	path, err := filepath.EvalSymlinks(dir)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return err
	}
	if base := filepath.Base(path); base != stream {
		return fmt.Errorf("the directory is named %q, and the backup in it is of the stream %q; if that is the one to restore, rename the directory to it", base, stream)
	}
	return nil
}

func (o RestoreOptions) checkSubjects(cfg jetstream.StreamConfig) error {
	if want, own := o.Own[cfg.Name]; own {
		if !slices.Equal(cfg.Subjects, want) || len(copies(cfg)) > 0 || cfg.RePublish != nil || cfg.SubjectTransform != nil {
			return fmt.Errorf("this stream of Tidemark has the subjects %q, and neither mirror, sources, republish nor subject_transform; "+
				"the backup's, with %q, is another one: use another backup", want, cfg.Subjects)
		}
		return nil
	}
	for stream, theirs := range o.Own {
		for _, subject := range cfg.Subjects {
			if slices.ContainsFunc(theirs, func(own string) bool { return server.SubjectsCollide(subject, own) }) {
				return fmt.Errorf("its subject %q overlaps with those of %s; use another backup", subject, stream)
			}
		}
	}
	if bucket, ok := strings.CutPrefix(cfg.Name, "KV_"); ok && len(copies(cfg)) == 0 && !slices.Equal(cfg.Subjects, []string{"$KV." + bucket + ".>"}) {
		return errors.New("the name is that of a key-value bucket, and the subjects are not: use another backup")
	}
	return nil
}

// copies returns the streams copied by a stream.
func copies(cfg jetstream.StreamConfig) []*jetstream.StreamSource {
	if cfg.Mirror != nil {
		return append(slices.Clone(cfg.Sources), cfg.Mirror)
	}
	return cfg.Sources
}
