// What a Go program's runtime needs: a scheduler that sleeps, directories, files, randomness, an exit code.
package main

import (
	"io"
	"os"
	"time"
)

func main() {
	done := make(chan string)
	go func() {
		time.Sleep(time.Hour)
		done <- "slept"
	}()
	println(<-done)
	entries, err := os.ReadDir("/inputs")
	if err != nil {
		println(err.Error())
		os.Exit(1)
	}
	out, err := os.Create("/outputs/all.txt")
	if err != nil {
		println(err.Error())
		os.Exit(1)
	}
	for _, entry := range entries {
		in, err := os.Open("/inputs/" + entry.Name())
		if err != nil {
			println(err.Error())
			os.Exit(1)
		}
		out.WriteString(entry.Name() + ": ")
		io.Copy(out, in)
		in.Close()
	}
	out.Close()
	input, _ := io.ReadAll(os.Stdin)
	os.Stdout.WriteString(os.Args[1] + " " + os.Getenv("GREETING") + " " + string(input) + "\n")
	if _, err := os.Open("/etc/passwd"); err == nil {
		os.Exit(9)
	}
	os.Exit(3)
}
