package main

// paths are looked up in sample.json.
var paths = []string{
	`name.first`, `name.last`, `age`, `children`, `children.0`, `children.3`, `children.#`, `child*.2`, `c?ildren.0`, `fav\.movie`,
	`friends.1`, `friends.1.last`, `friends.#.first`, `friends.#.nothing`, `friends.#(last=="Murphy").first`,
	`friends.#(last=="Murphy")#.first`, `friends.#(last="Murphy")#`, `friends.#(age>45)#.last`, `friends.#(age>=47)#.last`,
	`friends.#(age<45).last`, `friends.#(age<=44).last`, `friends.#(age!=44)#.age`, `friends.#(first%"D*").last`,
	`friends.#(first!%"D*").last`, `children.#(!%"*a*")`, `children.#(%"*a*")#`, `children.#(=="Alex")`,
	`friends.#(nets.#(=="fb"))#.first`, `friends.#(nets)#.age`, `friends.#(none)#`, `friends.#(none)`,
	`vals.#(b==~true)#.a`, `vals.#(b==~false)#.a`, `vals.#(b==~null)#.a`, `vals.#(b==~*)#.a`, `vals.#(b!=~*)#.a`,
	`vals.#(b==true).a`, `vals.#(b==false).a`, `vals.#(b>=false)#.a`, `vals.#(b==0)#.a`, `vals.#(b==null)#.a`,
	`friends|0|first`, `friends.0|first`, `friends|#`, `friends.#(last="Murphy")#|first`, `friends.#(last="Murphy")#.0`,
	`friends.#(last="Murphy")#|0`, `friends.#(last="Murphy")#.#`, `friends.#(last="Murphy")#|#`, `friends.#.nets.0`,
	`friends.#.nets|0`, `friends.#.nets.#`, `friends.#.nets.#(=="fb")`, `children.@reverse`, `children.@reverse.0`, `name.@reverse`,
	`name.@keys`, `name.@values`, `children.@keys`, `children.@values`, `@this.age`, `@this`, `deep.@flatten`,
	`deep.@flatten:{"deep":true}`, `objs.@join`, `objs.@join:{"preserve":true}`, `str.@fromstr`, `str.@fromstr.in`, `age.@tostr`,
	`name.first.@tostr`, `@valid.age`, `@ugly.age`, `@pretty.age`, `name|@keys|0`, `name.@keys|@reverse`, `age.@keys`, `age.@flatten`, `nil`, `no`, `pi`, `big`,
	`nil.x`, `age.x`, `missing`, `name.missing`, `esc
`, `a.b\*`, `a.b*`, `a.*`, `dup`, `@x`, `0`, `*`, `\0`, `n*.f*`, `[age,pi]`,
	`{age,pi}`, `{"x":age,"y":name.first}`, `[name.first,missing,children.0]`, `friends.#.{first,age}`, `friends.0.[first,age]`,
	`{age,name.last}.last`, `children.01`, `children.-1`, `children.a`, `friends.#.age.@reverse`, `friends.#.age|@reverse`, `friends.#(age>45)#|@reverse.0.first`,
	`!"lit"`, `[!1,age]`, `friends.#(last`, `friends.#()`, `friends.#(first=="Da\"le")`, `friends.#(age>"45")#.age`,
	`children.#.x`, `deep.1.0`, `deep.#.0`, `deep.#`, `name.#`, `age.#`, `#`, `.`, `name.`, `.age`, `|age`, `name..first`, `@nope`,
	`name.@nope`, `children.#(>"B")#`, `children.#(<="Jack")#`, `deep.#(>0)#`, `@keys.0`, `@keys.#`, `objs.#.x`, `objs.#(x>1).y`, `friends.#[age>45].first`,
	`children.@reverse:x.0`, `children.@this.@reverse|0`,
}
