// Times the library and prints markdown tables: `make bench`.
//
//     kvsieve-bench                three minutes at most
//     kvsieve-bench --quick        fewer sizes and repetitions, twenty seconds at most
//     kvsieve-bench --only N       one section, 1 ... 10
import KVSieveCore

let sections: [(Options) throws -> Void] = [
    machine, oneLayer, stages, growth, threads, methods, gatherRates, steps, storage, given,
]

func parse(_ arguments: [String], sections: Int) -> Options {
    var options = Options()
    var rest = arguments[...]
    while let argument = rest.popFirst() {
        switch argument {
        case "--quick": options.quick = true
        case "--only":
            guard let number = rest.popFirst().flatMap({ Int($0) }), (1...sections).contains(number) else {
                leave("--only wants a section, 1 ... \(sections)")
            }
            options.only = number
        default: leave("no option \(argument); expected --quick, --only N")
        }
    }
    return options
}

let options = parse(Array(CommandLine.arguments.dropFirst()), sections: sections.count)
let processor = lines(of: "/proc/cpuinfo").first { $0.hasPrefix("model name") }?.split(separator: ":").last
print(
    "\(processor.map { $0.drop { $0 == " " } } ?? "unknown processor"), \(instructionSet), \(today()),"
        + " one thread unless said\n")
do {
    for (index, section) in sections.enumerated() where options.only ?? (index + 1) == index + 1 {
        try section(options)
        Memory.endSection()
    }
} catch let error as KVSieveError {
    leave(error.message)
} catch {
    leave("\(error)")
}
