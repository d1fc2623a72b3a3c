package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/labels"
)

type question struct {
	Selector string       `json:"selector"`
	Labels   []labels.Set `json:"labels"`
}

type verdict struct {
	Valid   bool   `json:"valid"`
	Text    string `json:"text"`
	Matches []bool `json:"matches"`
}

// selectors reads questions as JSON from its input, one after the other, and writes what Kubernetes makes of each
// selector: whether it is one, how it is written, and which of the labels it matches.
func selectors([]string) int {
	in, out := json.NewDecoder(bufio.NewReader(os.Stdin)), bufio.NewWriter(os.Stdout)
	written := json.NewEncoder(out)
	for {
		var asked question
		if err := in.Decode(&asked); err != nil {
			if errors.Is(err, io.EOF) {
				err = out.Flush()
			}
			return ended(err)
		}
		if err := written.Encode(judged(asked)); err != nil {
			return ended(err)
		}
	}
}

func judged(asked question) verdict {
	selector, err := labels.Parse(asked.Selector)
	if err != nil {
		return verdict{}
	}
	found := verdict{Valid: true, Text: selector.String(), Matches: []bool{}}
	for _, one := range asked.Labels {
		found.Matches = append(found.Matches, selector.Matches(one))
	}
	return found
}

func ended(err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
