// Records how yaml.v3 v3.0.1 decodes each first column of yaml_v3.tsv:
//
//	cut -f1 yaml_v3.tsv | go run record.go > new.tsv
//
// A line break is written as U+2424, a tab as U+2409.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		kind, text := decode(strings.NewReplacer("␤", "\n", "␉", "\t").Replace(lines.Text()))
		fmt.Printf("%s\t%s\t%s\n", lines.Text(), kind, text)
	}
}

func decode(in string) (string, string) {
	var v any
	if err := yaml.Unmarshal([]byte(in), &v); err != nil {
		return "error", oneLine(err)
	}
	switch x := v.(type) {
	case nil:
		return "null", ""
	case time.Time:
		return "time", x.Format(time.RFC3339Nano)
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return "float", fmt.Sprint(x)
		}
		return "float", toJSON(x)
	case map[any]any:
		// Keys that are not text: goss decodes sections into maps of text.
		var s map[string]any
		if err := yaml.Unmarshal([]byte(in), &s); err != nil {
			return "error", oneLine(err)
		}
		return "map", toJSON(s)
	}
	return fmt.Sprintf("%T", v), toJSON(v)
}

func toJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", " ") }
