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

// Ctrl-C reaches a run and its workers. A worker that ended before the run would be another error;
// it ends with its input.
func TestBenchWorker_Interrupt_KeepsServing(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a process cannot be sent an interrupt")
	}
	command, err := workerCommand()
	if err != nil {
		t.Fatal(err)
	}
	worker := exec.Command(command[0])
	worker.Args = append([]string{"tidemark"}, command[1:]...) // with this name TestMain runs the command
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
			t.Errorf("the reply to request %d is %q", i, answers.Text())
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
