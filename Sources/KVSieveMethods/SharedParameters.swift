// Parameters that several methods have: ids 100 ... 199. A method's own begin at 200 for the first, 300 for the second, ...
// Ids are pinned: never used again for something else.
import KVSieveCore

/// Greatest count of tokens a parameter may name.
let mostTokens = Double(Int32.max)

public enum Shared {
    public static let budget = Parameter(
        100, "budget", 1024, 1...mostTokens, .whole,
        "C, tokens that a head keeps; the mean over heads or layers where a method divides it")
    public static let ratio = Parameter(
        101, "ratio", 0, 0...1, .real, "share of the tokens seen that a head keeps, in place of budget; 0: by budget")
    public static let window = Parameter(102, "window", 32, 1...4096, .whole, "W, the last queries looked at")
    public static let poolKernel = Parameter(
        103, "pool_kernel", 7, 1...63, .odd, "kernel of the pooling, odd; 1 is no pooling")
    public static let pool = Parameter(104, "pool", 0, 0...1, .whole, "0 mean, 1 max")
    public static let threads = Parameter(
        105, "threads", 1, 1...256, .whole, "threads a call may use, the caller's among them")
    public static let decoding = Parameter(
        106, "decoding", 0, 0...1, .whole, "1: remember what kvsieve_plan_step needs")
    public static let share = Parameter(
        107, "share", 0, 0...2, .whole, "0 as published; 1 the heads of a layer make one choice; 2 all layers do")
    public static let even = Parameter(
        108, "even", 0, 0...1, .whole, "1: the budget is the same in all layers; 0 as published")
    public static let block = Parameter(
        109, "block", 1, 1...4096, .whole,
        "tokens of a block: blocks, counted from position 0, are kept or dropped whole")
    public static let align = Parameter(
        111, "align", 0, 0...1, .whole,
        "where heads that keep fewer rows are in one tensor: 0 all begin together; 1 all end together")
    public static let mass = Parameter(
        110, "mass", 0, 0...1, .real,
        "share of the attention looked at that a head's rows must hold: fewer are kept if they do; 0: off")
    public static let report = Parameter(
        112, "report", 0, 0...1, .whole, "1: remember which share of the attention is kept, for kvsieve_plan_report")
    public static let coarse = Parameter(
        113, "coarse", 0, 0...1, .whole,
        "1: keys in Q8_0 are multiplied as bytes where the processor can: faster, coarser scores")
    /// Of the methods that read queries.
    public static let attention = [mass, report, coarse]
    /// Of the methods whose heads may keep the same rows.
    public static let shape = [share, even, block, align]

    /// Those that every plan looks at.
    public static let plan = PlanParameters(
        threads: threads, decoding: decoding, share: share, even: even, block: block, align: align, mass: mass,
        report: report, coarse: coarse,
        name: { Registry.nameOfParameter($0) })
}

extension Settings {
    var budget: Budget { Budget(self, tokens: Shared.budget, ratio: Shared.ratio, block: Shared.block) }
    var window: Int { int(Shared.window) }
    var kernel: Int { int(Shared.poolKernel) }
    /// Do all layers keep as many rows, whatever the paper says?
    var isEven: Bool { int(Shared.even) == 1 || int(Shared.share) == 2 }
    var pool: Pool { int(Shared.pool) == 1 ? .max : .mean }
}
