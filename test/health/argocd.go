package main

import (
	"context"
	"fmt"
	"os"
	"time"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// luaTimeout is the time limit of Argo CD for a health script.
const luaTimeout = time.Second

// health is the result that a script returns to Argo CD.
type health struct {
	// Status is Healthy, Progressing, Degraded, Suspended, Missing or Unknown.
	Status string `json:"status"`
	// Message is a sentence for people.
	Message string `json:"message"`
}

// evaluateArgoCD evaluates a health script as Argo CD does. The object is the global obj, only the
// libraries package, base and table exist (no string, no os), and the script returns a table.
func evaluateArgoCD(ctx context.Context, path string, object *unstructured.Unstructured) (health, error) {
	script, err := os.ReadFile(path)
	if err != nil {
		return health{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, luaTimeout)
	defer cancel()
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for _, library := range []struct {
		name string
		open lua.LGFunction
	}{{lua.LoadLibName, lua.OpenPackage}, {lua.BaseLibName, lua.OpenBase}, {lua.TabLibName, lua.OpenTable}} {
		if err := state.CallByParam(lua.P{Fn: state.NewFunction(library.open), Protect: true}, lua.LString(library.name)); err != nil {
			return health{}, fmt.Errorf("open library %q: %w", library.name, err)
		}
	}
	state.SetContext(ctx)
	state.SetGlobal("obj", toLua(state, object.Object))
	if err := state.DoString(string(script)); err != nil {
		return health{}, fmt.Errorf("run %s: %w", path, err)
	}
	table, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return health{}, fmt.Errorf("%s returned %s, want a table", path, state.Get(-1).Type())
	}
	return fromLua(table)
}

// fromLua reads the table that a script returned. A value that Argo CD does not support is an
// error.
func fromLua(table *lua.LTable) (health, error) {
	fields := map[string]string{}
	var err error
	table.ForEach(func(key, value lua.LValue) {
		text, ok := value.(lua.LString)
		if !ok || (key.String() != "status" && key.String() != "message") {
			err = fmt.Errorf("the script returned %s %s", key, value.Type())
		}
		fields[key.String()] = string(text)
	})
	switch fields["status"] {
	case "Healthy", "Progressing", "Degraded", "Suspended", "Missing", "Unknown":
	default:
		err = fmt.Errorf("%q is no health status of Argo CD", fields["status"])
	}
	return health{fields["status"], fields["message"]}, err
}

// toLua converts a JSON value to a Lua value.
func toLua(state *lua.LState, value any) lua.LValue {
	switch v := value.(type) {
	case bool:
		return lua.LBool(v)
	case string:
		return lua.LString(v)
	case int64:
		return lua.LNumber(v)
	case float64:
		return lua.LNumber(v)
	case []any:
		table := state.CreateTable(len(v), 0)
		for _, item := range v {
			table.Append(toLua(state, item))
		}
		return table
	case map[string]any:
		table := state.CreateTable(0, len(v))
		for key, item := range v {
			table.RawSetString(key, toLua(state, item))
		}
		return table
	}
	return lua.LNil
}
