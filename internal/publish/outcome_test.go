package publish

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/feed"
)

// notStoredCodes are the errors of nats-server that mean: not stored, by their names there.
var notStoredCodes = map[server.ErrorIdentifier]error{
	server.JSStreamMessageExceedsMaximumErr: feed.ErrTooLarge,
	server.JSStreamHeaderExceedsMaximumErr:  feed.ErrTooLarge,

	server.JSAccountResourcesExceededErr: feed.ErrFull,
	server.JSInsufficientResourcesErr:    feed.ErrFull,
	server.JSMemoryResourcesExceededErr:  feed.ErrFull,
	server.JSStorageResourcesExceededErr: feed.ErrFull,

	server.JSNotEnabledErr:                           feed.ErrUnavailable,
	server.JSNotEnabledForAccountErr:                 feed.ErrUnavailable,
	server.JSNoLimitsErr:                             feed.ErrUnavailable,
	server.JSStreamExpectedLastSeqPerSubjectNotReady: feed.ErrUnavailable,
	server.JSStreamTooManyRequests:                   feed.ErrUnavailable,

	server.JSStreamSealedErr:                        feed.ErrRejected,
	server.JSStreamNotMatchErr:                      feed.ErrRejected,
	server.JSStreamWrongLastMsgIDErrF:               feed.ErrRejected,
	server.JSStreamWrongLastSequenceErrF:            feed.ErrRejected,
	server.JSStreamWrongLastSequenceConstantErr:     feed.ErrRejected,
	server.JSStreamExpectedLastSeqPerSubjectInvalid: feed.ErrRejected,
	server.JSStreamRollupFailedF:                    feed.ErrRejected,
	server.JSMessageSourceHdrNotAllowedErr:          feed.ErrRejected,
	server.JSMessageTTLInvalidErr:                   feed.ErrRejected,
	server.JSMessageTTLDisabledErr:                  feed.ErrRejected,
	server.JSMessageIncrDisabledErr:                 feed.ErrRejected,
	server.JSMessageIncrMissingErr:                  feed.ErrRejected,
	server.JSMessageIncrPayloadErr:                  feed.ErrRejected,
	server.JSMessageIncrInvalidErr:                  feed.ErrRejected,
	server.JSMessageCounterBrokenErr:                feed.ErrRejected,
	server.JSMessageSchedulesDisabledErr:            feed.ErrRejected,
	server.JSMessageSchedulesPatternInvalidErr:      feed.ErrRejected,
	server.JSMessageSchedulesTargetInvalidErr:       feed.ErrRejected,
	server.JSMessageSchedulesTTLInvalidErr:          feed.ErrRejected,
	server.JSMessageSchedulesRollupInvalidErr:       feed.ErrRejected,
	server.JSMessageSchedulesSourceInvalidErr:       feed.ErrRejected,
	server.JSMessageSchedulesSchedulerInvalidErr:    feed.ErrRejected,
	server.JSMessageSchedulesTimeZoneInvalidErr:     feed.ErrRejected,
}

func explained(code server.ErrorIdentifier, status int, text string) error {
	err := &jetstream.APIError{Code: status, ErrorCode: jetstream.ErrorCode(code), Description: text}
	return outcomeOf(err).explain("news.a", err)
}

func TestPublishOutcome_EveryErrorOfServer_IsNotStoredOrUnknown(t *testing.T) {
	if len(server.ApiErrors) < 200 {
		t.Fatalf("nats-server lists %d errors only", len(server.ApiErrors))
	}
	for code, api := range server.ApiErrors {
		err := explained(code, api.Code, api.Description)
		want, notStored := notStoredCodes[code]
		if !notStored {
			want = feed.ErrUnavailable
		}
		if !errors.Is(err, want) || errors.Is(err, feed.ErrNotStored) != notStored {
			t.Errorf("%d %s: %v; want %v, not stored %v", code, api.Description, err, want, notStored)
		}
		if got := errors.Is(err, errInProcess); got != (code == server.JSStreamDuplicateMessageConflict) {
			t.Errorf("%d %s: in process %v", code, api.Description, got)
		}
	}
	for _, status := range []int{400, 404, 409, 429, 500, 503} {
		if err := explained(19999, status, "new"); !errors.Is(err, feed.ErrUnavailable) || errors.Is(err, feed.ErrNotStored) {
			t.Errorf("a code that is not listed, with status %d: %v", status, err)
		}
	}
}

func TestPublishOutcome_StoreFailed_DependsOnText(t *testing.T) {
	for text, want := range map[string]error{
		server.ErrMaxMsgs.Error():           feed.ErrFull,
		server.ErrMaxBytes.Error():          feed.ErrFull,
		server.ErrMaxMsgsPerSubject.Error(): feed.ErrFull,
		server.ErrMsgTooLarge.Error():       feed.ErrTooLarge,
		server.ErrStoreClosed.Error():       nil,
		"no space left on device":           nil,
		"":                                  nil,
		"raft: maximum messages exceeded?":  nil,
	} {
		err := explained(server.JSStreamStoreFailedF, 503, text)
		if want == nil && (errors.Is(err, feed.ErrNotStored) || !errors.Is(err, feed.ErrUnavailable)) || want != nil && !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
}

// publishPath are the functions of nats-server that answer a publish.
var serverFunctions = regexp.MustCompile(`^(processJetStreamMsg|processJetStreamMsgWithBatch|processClusteredInboundMsg|checkMsgHeadersPreClusteredProposal|processInboundJetStreamMsg|queueInbound|wouldExceedLimits|processJetStreamBatchMsg|processJetStreamAtomicBatchMsg|processJetStreamFastBatchMsg)$`)

// A newer nats-server may answer a publish with errors that are not in the table.
func TestPublishOutcome_EveryErrorOfPublishPath_IsListed(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/nats-io/nats-server/v2").Output()
	dir := strings.TrimSpace(string(out))
	if err != nil || dir == "" {
		t.Skipf("the source of nats-server is not here: %v", err)
	}
	codes := errorConstants(t, filepath.Join(dir, "server", "jetstream_errors_generated.go"))
	seen := map[string]bool{}
	for _, file := range []string{"stream.go", "jetstream.go", "jetstream_cluster.go", "jetstream_batching.go"} {
		maps.Copy(seen, errorsOf(t, filepath.Join(dir, "server", file)))
	}
	if !seen["JSStreamDuplicateMessageConflict"] || !seen["JSStreamSealed"] || !seen["JSStreamTooManyRequests"] || len(seen) < 40 {
		t.Fatalf("the publish path of nats-server was not found: %v", seen)
	}
	for name := range seen {
		code, ok := codes[name]
		if !ok {
			t.Errorf("no code of %s", name)
		}
		// A server that does not lead the stream does not answer.
		if _, listed := outcomes[code]; !listed && name != "JSClusterNotLeader" {
			t.Errorf("%d %s is not listed", code, name)
		}
	}
}

// bareName drops the suffixes that only the names of constants have.
func bareName(name string) string {
	for _, suffix := range []string{"ErrF", "ErrorF", "Error", "Err"} {
		if bare, ok := strings.CutSuffix(name, suffix); ok {
			return bare
		}
	}
	return strings.TrimSuffix(name, "F")
}

func errorConstants(t *testing.T, file string) map[string]jetstream.ErrorCode {
	t.Helper()
	codes := map[string]jetstream.ErrorCode{}
	ast.Inspect(parse(t, file), func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if lit, ok := spec.Values[0].(*ast.BasicLit); ok && lit.Kind == token.INT {
			code, err := strconv.ParseUint(lit.Value, 10, 16)
			if err != nil {
				t.Fatal(err)
			}
			codes[bareName(spec.Names[0].Name)] = jetstream.ErrorCode(code)
		}
		return true
	})
	return codes
}

func parse(t *testing.T, file string) *ast.File {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func errorsOf(t *testing.T, file string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, decl := range parse(t, file).Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || !serverFunctions.MatchString(f.Name.Name) {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			id, ok := n.(*ast.Ident)
			switch {
			case !ok:
			case strings.HasPrefix(id.Name, "NewJS"):
				names[bareName(strings.TrimPrefix(id.Name, "New"))] = true
			case strings.HasPrefix(id.Name, "JS") && strings.HasSuffix(id.Name, "Err"):
				names[bareName(id.Name)] = true
			}
			return true
		})
	}
	return names
}
