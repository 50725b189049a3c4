import Foundation
import KVSieveMethods
import Testing

// The list of methods: ids, names, bounds, defaults; every parameter can be set, read back, and refuses what is outside.
@testable import KVSieveCore

@Suite struct RegistryTests {
    @Test func idsAndNamesAreTheirOwn() {
        #expect(Set(Registry.rows.map(\.id)).count == Registry.rows.count)
        #expect(Set(Registry.rows.map { "\($0.name)" }).count == Registry.rows.count)
        for row in Registry.rows {
            #expect(Set(row.parameters.map(\.id)).count == row.parameters.count)
            #expect(Set(row.parameters.map { "\($0.name)" }).count == row.parameters.count)
            for text in [row.summary, row.choose, row.paper] + row.parameters.map(\.summary) {
                #expect(!"\(text)".isEmpty && !"\(text)".contains("\n"))
            }
        }
    }

    /// An id means one thing: a name of its own, and with ids below 200 the same in every method that has it.
    @Test func anIdIsTheSameParameterEverywhere() {
        var names: [Int32: String] = [:]
        for row in Registry.rows {
            for parameter in row.parameters {
                let name = parameter.id < 200 ? "\(parameter.name)" : "\(row.name) \(parameter.name)"
                #expect(names[parameter.id] == nil || names[parameter.id] == name)
                names[parameter.id] = name
            }
        }
        #expect(Set(names.values).count == names.count)
    }

    /// Pinned in Tests/ABI/layout.txt, which the C tests compare with the header: these numbers are in callers' binaries.
    @Test func idsArePinned() throws {
        let layout = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("ABI/layout.txt")
        var pinned: [String: Int32] = [:]
        for line in try String(contentsOf: layout, encoding: .utf8).split(separator: "\n") {
            let words = line.split(separator: " ")
            if words.count == 3, words[0] == "value" { pinned["\(words[1])"] = Int32(words[2]) }
        }
        #expect(pinned["KVSIEVE_AHAKV"] == 1 && pinned["KVSIEVE_BUDGET"] == 100)
        for row in Registry.rows {
            let method = "KVSIEVE_\(row.name)".uppercased()
            #expect(pinned[method] == row.id, "\(method): a line for it in Tests/ABI/layout.txt")
            for parameter in row.parameters {
                let owner = parameter.id < 200 ? "KVSIEVE" : method
                let constant = "\(owner)_\(parameter.name)".uppercased()
                #expect(pinned[constant] == parameter.id, "\(constant): a line for it in Tests/ABI/layout.txt")
            }
        }
    }

    @Test(arguments: AnyMethod.all) func everyParameterHoldsItsBounds(_ method: AnyMethod) throws {
        let shape = try ModelShape(layers: 2, queryHeads: 2, heads: 2, headDim: 8)
        for parameter in method.row.parameters {
            let plan = try method.plan(shape)
            #expect(try plan.get(parameter.id) == parameter.initial)
            #expect(parameter.lowest <= parameter.initial && parameter.initial <= parameter.highest)
            for value in [parameter.lowest, parameter.highest, parameter.initial] {
                try plan.set(parameter.id, value)
                #expect(try plan.get(parameter.id) == value)
            }
            var refused = [parameter.lowest - 1, parameter.highest + 1, .nan, .infinity, -.infinity]
            if parameter.kind != .real { refused.append(parameter.lowest + 0.5) }
            if parameter.kind == .odd { refused.append(parameter.lowest + 1) }
            for value in refused {
                let error = thrown { try plan.set(parameter.id, value) }
                #expect(error?.kind == .parameter && error?.message.contains("\(parameter.name)") == true)
                #expect(try plan.get(parameter.id) == parameter.initial)
            }
        }
    }

    /// By what a method is, not by what its file lists.
    @Test(arguments: AnyMethod.all) func hasTheParametersThatAllHave(_ method: AnyMethod) {
        for name in ["budget", "ratio", "threads", "align"] { #expect(method.parameter(name) != nil, "\(name)") }
        for name in ["mass", "report"] { #expect((method.parameter(name) != nil) == method.readsQueries, "\(name)") }
        #expect((method.parameter("decoding") != nil) == method.row.decodes)
    }

    @Test(arguments: AnyMethod.all) func anotherMethodsParameterIsRefused(_ method: AnyMethod) throws {
        let row = method.row
        let plan = try method.plan(ModelShape(layers: 1, queryHeads: 1, heads: 1, headDim: 8))
        let foreign = Registry.rows.flatMap(\.parameters).filter { other in
            !row.parameters.contains { $0.id == other.id }
        }
        for id in foreign.map(\.id) + [0, -1, .max, .min] {
            #expect(errorKind { try plan.set(id, 1) } == .parameter)
            #expect(errorKind { _ = try plan.get(id) } == .parameter)
        }
    }
}
