package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/go-jose/go-jose/v4"

	"github.com/tidemark/tidemark/pkg/auth"
)

// mine is the subject of the user me.
const mine = "notifications.user." + me

// testConsoleToken connects, resumes and publishes with the rights of a token.
func (b *browser) testConsoleToken(t *testing.T) {
	const before, total = 14, 42
	sign, file := tokens(t)
	s := serve(t, "--auth.identity=jwt", "--auth.jwt.secret_file="+file, "--auth.jwt.leeway=0s", "--auth.jwt.publish_claim=publish")
	page, consoleErrors := b.openConsole(t, s, "")
	page.await(`document.querySelector('[name=feed]').options.length === 1`)
	page.awaitState("Not connected")
	if eval[bool](page, `!!document.querySelector('#user-field')`) {
		t.Error("a user can be named, whom nobody would believe")
	}
	page.connectWith("")
	page.awaitState("Rejected")
	page.connectWith("not.a.token")
	page.awaitState("Rejected")

	page.connectWith(sign(fmt.Sprintf(`{"sub":"42","exp":%d,"publish":[%q]}`, time.Now().Add(time.Hour).Unix(), mine)))
	page.awaitState("Connected")
	p := newProducer(t, s)
	p.publish(1, before)
	page.wantRows(t, numbersOf(me, before))
	run(page, chromedp.Click(`#cut`))
	page.awaitState("Cut")
	p.publish(before+1, total)
	page.awaitState("Connected")
	page.wantRows(t, numbersOf(me, total))

	page.publish("greeting", `{"text":"by token"}`, mine)
	page.awaitPublished("Stored at ")
	page.await(shows("greeting", mine, "by token"))
	page.refusedPublish("x", "notifications.user.7")
	if left := consoleErrors.without("401", "/publish"); len(left) > 0 {
		t.Errorf("the page: %s", strings.Join(left, "\n"))
	}
	if kept := eval[string](page, `JSON.stringify([Object.entries(localStorage), Object.entries(sessionStorage), document.cookie, location.search])`); strings.Contains(kept, "ey") {
		t.Errorf("the token is kept: %s", kept)
	}

	page.connectWith(sign(fmt.Sprintf(`{"sub":"42","exp":%d}`, time.Now().Unix()+3)))
	page.awaitState("Rejected")
	page.await(`/expired/.test(document.querySelector('#connection-note').textContent)`)
}

// testConsoleKey publishes with an API key, and with wrong ones.
func (b *browser) testConsoleKey(t *testing.T) {
	key, line, err := auth.NewAPIKey("shop", "notifications.user.*")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(file, []byte(line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serve(t, "--publish.keys="+file)
	page, consoleErrors := b.openConsole(t, s, "?user=42")
	page.awaitState("Connected")
	for name, wrong := range map[string]struct{ key, subject string }{
		"no key": {"", mine}, "an unknown key": {"tmk_nothing", mine}, "beyond its rights": {key, "notifications.broadcast"},
	} {
		page.key(wrong.key)
		page.refusedPublish(name, wrong.subject)
	}
	page.key(key)
	page.publish("greeting", `{"text":"by key"}`, mine)
	page.awaitPublished("Stored at 1-")
	page.await(shows("greeting", mine, "by key"))
	page.awaitNode("Stored", "1 – 1")
	if left := consoleErrors.without("/publish"); len(left) > 0 {
		t.Errorf("the page: %s", strings.Join(left, "\n"))
	}
	if kept := eval[string](page, `JSON.stringify([Object.entries(localStorage), Object.entries(sessionStorage), document.cookie, location.search])`); strings.Contains(kept, key) {
		t.Errorf("the key is kept: %s", kept)
	}
}

// tokens returns a function that signs claims, and the file of the secret.
func tokens(t *testing.T) (sign func(claims string) string, file string) {
	t.Helper()
	const secret = "a secret of thirty-two bytes, or more"
	file = filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(secret)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return func(claims string) string {
		signed, err := signer.Sign([]byte(claims))
		if err != nil {
			t.Error(err)
			return ""
		}
		text, _ := signed.CompactSerialize()
		return text
	}, file
}

// connectWith types a token into the console and connects.
func (p *tab) connectWith(token string) {
	p.t.Helper()
	p.fill(`#connect [name=token]`, token)
	run(p, chromedp.Click(`#connect-button`))
}

func (p *tab) key(key string) {
	p.t.Helper()
	p.fill(`#publish [name=key]`, key)
}

// fill types a value. It also empties a field, which chromedp.SetValue reports as a failure.
func (p *tab) fill(field, value string) {
	p.t.Helper()
	eval[string](p, fmt.Sprintf(`document.querySelector(%q).value = %q`, field, value))
}

func (p *tab) awaitPublished(note string) {
	p.t.Helper()
	p.await(fmt.Sprintf(`document.querySelector('#publish-note').className.includes('good') && document.querySelector('#publish-note').textContent.startsWith(%q)`, note))
}

// refusedPublish clears the note of an earlier publish, publishes, and waits for the rejection.
func (p *tab) refusedPublish(data, subject string) {
	p.t.Helper()
	eval[bool](p, `document.querySelector('#publish-note').className = '', true`)
	p.publish("greeting", data, subject)
	p.await(`document.querySelector('#publish-note').className.includes('bad')`)
}
