# Of a header without comments: for each field of each struct, and for kvsieve_status, the claim that its type is this one (C11).
# Sizes and places are in layout.txt; a float in the place of an int32_t has the same.
/^typedef [a-z0-9_]+ kvsieve_status;/ { claim("kvsieve_status", "(kvsieve_status *)0", $2 " *") }
/^typedef struct [a-z_]+ \{/ { struct = $3; next }
/^\}/ { struct = "" }
struct != "" {
    line = $0
    gsub(/^ +|;$/, "", line)
    match(line, /[a-z_0-9]+(\[[0-9]+\])?$/)
    type = substr(line, 1, RSTART - 1)
    name = substr(line, RSTART)
    length_of = ""
    if (match(name, /\[/)) { length_of = substr(name, RSTART); name = substr(name, 1, RSTART - 1) }
    claim(struct "." name, "&((" struct " *)0)->" name, length_of == "" ? type " *" : type "(*)" length_of)
}
function claim(what, place, type) {
    gsub(/ +/, " ", type)
    printf "_Static_assert(_Generic(%s, %s: 1, default: 0), \"%s has another type\");\n", place, type, what
}
