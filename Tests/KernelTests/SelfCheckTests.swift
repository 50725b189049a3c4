// The library's check of itself: right as it is, and each kernel that is broken is found and named.
import CSupport
import KVSieveMethods
import Testing

@testable import KVSieveCore
@testable import KVSieveSelfCheck

/// A kernel, and how a table gets one that does nothing, or nothing right.
private struct Fault: Sendable, CustomTestStringConvertible {
    let kernel: String
    let place: @Sendable (inout support_kernels) -> Void
    var testDescription: String { kernel }

    init(_ kernel: String, _ place: @escaping @Sendable (inout support_kernels) -> Void) {
        (self.kernel, self.place) = (kernel, place)
    }

    static let all = [
        Fault("widen_f16") { $0.widen_f16 = { _, _, _ in } },
        Fault("widen_bf16") { $0.widen_bf16 = { _, _, _ in } },
        Fault("widen_f8_e4m3") { $0.widen_f8_e4m3 = { _, _, _ in } },
        Fault("widen_f8_e5m2") { $0.widen_f8_e5m2 = { _, _, _ in } },
        Fault("widen_q8_0") { $0.widen_q8_0 = { _, _, _ in } },
        Fault("widen_q4_0") { $0.widen_q4_0 = { _, _, _ in } },
        Fault("split_q8_0") { $0.split_q8_0 = { _, _, _, _ in } },
        Fault("logit_columns") { $0.logit_columns = { _, _, _, _, _, _, _, _, _, _ in 1 } },
        Fault("pair_columns") { $0.pair_columns = { _, _, _, _, _, _, _, _, _, _, _ in 1 } },
        Fault("byte_columns") { $0.byte_columns = { _, _, _, _, _, _, _ in 1 } },
        Fault("column_maxima") { $0.column_maxima = { _, _, _, _, _ in 1 } },
        Fault("tile_exponentials") { $0.tile_exponentials = { _, _, _, _, _, _ in } },
        Fault("weighted_columns") { $0.weighted_columns = { _, _, _, _, _, _ in } },
        Fault("row_dots") { $0.row_dots = { _, _, _, _, _, _, _, _ in } },
        Fault("row_maximum") { $0.row_maximum = { row, _ in row[0] } },
        Fault("row_exponentials") { $0.row_exponentials = { _, _, _, _, _ in 1 } },
        Fault("row_minimum") { $0.row_minimum = { row, _ in row[0] } },
        Fault("copy_minimum") { $0.copy_minimum = { row, _, _ in row[0] } },
        Fault("row_logarithms") { $0.row_logarithms = { _, _, _ in } },
        Fault("count_numbers") { $0.count_numbers = { _, count, _ in count } },
        Fault("collect_numbers") { $0.collect_numbers = { _, _, _, _, _, _, _ in 0 } },
        Fault("candidate_minima") { $0.candidate_minima = { _, _, _, _ in } },
        Fault("roll_row") { $0.roll_row = { _, _, _, _, _, _, _ in } },
        Fault("run_row") { $0.run_row = { _, _, _, _, _ in } },
        Fault("weighted_rows") { $0.weighted_rows = { _, _, _, _, _, _ in } },
        Fault("add_scaled") { $0.add_scaled = { _, _, _, _ in } },
        Fault("pool_mean") { $0.pool_mean = { _, _, _, _ in } },
        Fault("pool_max") { $0.pool_max = { _, _, _, _ in } },
        Fault("squared_norm") { $0.squared_norm = { _, _ in 1 } },
    ]
}

@Suite struct SelfCheckTests {
    @Test func thisLibraryIsRight() throws { try SelfCheck.run() }

    @Test(arguments: Table.all) func eachTableIsRight(_ table: Table) throws { try SelfCheck.check(table.kernels) }

    @Test(arguments: Table.all, Fault.all) private func aBrokenKernelIsFoundAndNamed(_ table: Table, _ fault: Fault)
        throws
    {
        if fault.kernel == "pair_columns", table.kernels.pair_columns == nil { return }
        if fault.kernel == "byte_columns", table.kernels.byte_columns == nil { return }
        var broken = table.kernels
        fault.place(&broken)
        do {
            try SelfCheck.check(broken)
            Issue.record("it was not found")
        } catch {
            #expect(error.kind == .broken)
            #expect(error.message.contains("kernel \(fault.kernel) of \(table.testDescription)"), "\(error.message)")
        }
    }

    /// The numbers of the struct that are functions: a new one needs a check.
    @Test func everyKernelHasAFault() {
        let functions = Mirror(reflecting: Table.narrowest.kernels).children.compactMap(\.label).filter {
            !["name", "lanes", "block"].contains($0)
        }
        #expect(functions.sorted() == Fault.all.map(\.kernel).sorted())
    }

    @Test func theProductOfBLASIsRightAndIsFoundIfItIsNot() throws {
        support_begin_blas()
        try SelfCheck.checkProduct()
        do {
            try SelfCheck.checkProduct { _, _, _, _, _, _, _, _ in }
            Issue.record("it was not found")
        } catch {
            #expect(error.kind == .broken && error.message.contains("product of BLAS"), "\(error.message)")
        }
    }

    @Test func everyMethodHasAnAnswer() throws {
        for type in Registry.methods { try SelfCheck.check(type) }
    }

    /// Another seed is another sequence, whose choice the check refuses. (Two methods read no numbers.)
    @Test func anotherChoiceIsFound() throws {
        for type in Registry.methods where !["streamingllm", "random"].contains(type.row.name.description) {
            let answer = try #require(storedAnswer(type.row.name.description))
            #expect(try FixedSequence(seed: answer.seed &+ 1).choice(type) != answer.hash, "\(type.row.name)")
        }
    }
}
