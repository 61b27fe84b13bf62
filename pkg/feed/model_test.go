package feed_test

import (
	"testing"

	"github.com/tidemark/tidemark/pkg/feed/feedtest/model"
)

func TestModel_RandomHistories_KeepThePromises(t *testing.T) {
	model.Run(t, model.InMemory("go test ./pkg/feed -run '^TestModel' -count=1", 6000))
}
