package jetstore

import (
	"testing"
	"time"
)

func TestPullLimits_Exceeded_LowersNextRequest(t *testing.T) {
	for _, c := range []struct {
		before pullLimits
		text   string
		lower  bool
		want   pullLimits
	}{
		{pullLimits{}, "Exceeded MaxRequestBatch of 500", true, pullLimits{Batch: 500}},
		{pullLimits{Batch: 600}, "Exceeded MaxRequestBatch of 500", true, pullLimits{Batch: 500}},
		{pullLimits{Batch: 500}, "Exceeded MaxRequestBatch of 500", false, pullLimits{Batch: 500}},
		{pullLimits{}, "Exceeded MaxRequestBatch of 0", false, pullLimits{}},
		{pullLimits{}, "Exceeded MaxRequestBatch of many", false, pullLimits{}},
		{pullLimits{Batch: 5}, "Exceeded MaxRequestMaxBytes of 65536", true, pullLimits{Batch: 5, Bytes: 65536}},
		{pullLimits{Bytes: 9}, "Exceeded MaxRequestMaxBytes of 9", false, pullLimits{Bytes: 9}},
		{pullLimits{}, "Exceeded MaxRequestExpires of 1m30s", true, pullLimits{Expires: 90 * time.Second}},
		{pullLimits{Expires: time.Second}, "Exceeded MaxRequestExpires of 250ms", true, pullLimits{Expires: 250 * time.Millisecond}},
		{pullLimits{Expires: time.Second}, "Exceeded MaxRequestExpires of 1s", false, pullLimits{Expires: time.Second}},
		{pullLimits{}, "Exceeded MaxRequestExpires of -1s", false, pullLimits{}},
		{pullLimits{}, "Exceeded MaxWaiting", false, pullLimits{}},
		{pullLimits{}, "Exceeded MaxSomething of 5", false, pullLimits{}},
		{pullLimits{}, "Consumer Deleted", false, pullLimits{}},
	} {
		got := c.before
		if lower := got.lower(c.text); lower != c.lower || got != c.want {
			t.Errorf("%q after %+v: %+v, %v", c.text, c.before, got, lower)
		}
	}
}

func TestPullLimits_Clamp_BoundsRequest(t *testing.T) {
	batch, bytes, expires := pullLimits{}.clamp(1000, 8<<20)
	if batch != 1000 || bytes != 8<<20 || expires != pullExpires {
		t.Errorf("without limits: %d, %d, %v", batch, bytes, expires)
	}
	batch, bytes, expires = pullLimits{Batch: 10, Bytes: 100, Expires: time.Second}.clamp(1000, 8<<20)
	if batch != 10 || bytes != 100 || expires != time.Second {
		t.Errorf("with limits: %d, %d, %v", batch, bytes, expires)
	}
	if batch, bytes, _ = (pullLimits{Batch: 10, Bytes: 100}).clamp(1, 0); batch != 1 || bytes != 0 {
		t.Errorf("one message of any size: %d, %d", batch, bytes)
	}
}
