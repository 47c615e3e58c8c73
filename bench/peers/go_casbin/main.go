// casbin, an authorization library, on a model much like ours but without owners, negatives, access lists and scopes.
// Reads policy rules and then questions from standard input; prints nanoseconds a decision (median of the rounds).
package main

import (
	"bufio"
	"fmt"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/casbin/casbin/v2"
	"github.com/casbin/casbin/v2/model"
)

const rules = `
[request_definition]
r = sub, dom, obj, act
[policy_definition]
p = sub, dom, obj, act
[role_definition]
g = _, _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = (p.dom == "*" || p.dom == r.dom) && (p.obj == "*" || p.obj == r.obj) && (p.act == "*" || p.act == r.act) && g(r.sub, p.sub, p.dom)
`

func main() {
	m, err := model.NewModelFromString(rules)
	if err != nil {
		panic(err)
	}
	enforcer, err := casbin.NewEnforcer(m)
	if err != nil {
		panic(err)
	}
	var questions [][]interface{}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		word := strings.Split(in.Text(), "\t")
		switch word[0] {
		case "p":
			_, err = enforcer.AddPolicy(word[1], word[2], word[3], word[4])
		case "g":
			_, err = enforcer.AddGroupingPolicy(word[1], word[2], word[3])
		case "q":
			questions = append(questions, []interface{}{word[1], word[2], word[3], word[4]})
		}
		if err != nil {
			panic(err)
		}
	}
	var nanoseconds []float64
	for round := 0; round < 9; round++ {
		start, asked := time.Now(), 0
		for time.Since(start) < 200*time.Millisecond {
			for _, question := range questions {
				if _, err := enforcer.Enforce(question...); err != nil {
					panic(err)
				}
				asked++
			}
		}
		nanoseconds = append(nanoseconds, float64(time.Since(start).Nanoseconds())/float64(asked))
	}
	sort.Float64s(nanoseconds)
	fmt.Printf("%.0f\n", nanoseconds[len(nanoseconds)/2])
}
