package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
)

// TestWorkerOutlivesInterrupt: Ctrl-C reaches a run and its workers alike. A worker that ended
// before the run would be an error of its own; its end is that of its input.
func TestWorkerOutlivesInterrupt(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a process cannot be sent an interrupt")
	}
	command, err := workerCommand()
	if err != nil {
		t.Fatal(err)
	}
	worker := exec.Command(command[0])
	worker.Args = append([]string{"tidemark"}, command[1:]...) // by which TestMain knows that it is no test
	in, requests := io.Pipe()
	worker.Stdin = in
	stdout, err := worker.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewScanner(stdout)
	for i := 1; i <= 3; i++ {
		fmt.Fprintf(requests, `{"id":%d,"method":"Worker.Sample","params":[{}]}`+"\n", i)
		if !answers.Scan() || !strings.Contains(answers.Text(), fmt.Sprintf(`"id":%d,`, i)) {
			t.Errorf("request %d is answered with %q", i, answers.Text())
		}
		if err := worker.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
	}
	requests.Close()
	if err := worker.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}
