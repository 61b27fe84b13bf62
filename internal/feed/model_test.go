package feed_test

import (
	"testing"

	"github.com/tidemark/tidemark/internal/feed/feedtest/model"
)

func TestModel_RandomHistories_KeepThePromises(t *testing.T) {
	model.Run(t, model.InMemory("go test ./internal/feed -run '^TestModel' -count=1", 6000))
}
