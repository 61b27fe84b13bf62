package lifecycle_test

import (
	"testing"

	"github.com/tidemark/tidemark/internal/testkit/leaks"
)

func TestMain(m *testing.M) { leaks.VerifyTestMain(m) }
