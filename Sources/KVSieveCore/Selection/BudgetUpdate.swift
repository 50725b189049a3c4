// How many units the heads of some layers may keep from now on. An update may only shrink what a layer has: the plan takes
// the smaller of the two.

public struct BudgetUpdate: Sendable {
    /// First of the layers it speaks of; they follow one another.
    public let first: Int
    /// Units to keep: one list a layer, one number a head.
    public let units: [[Int]]

    public init(first: Int, units: [[Int]]) {
        self.first = first
        self.units = units
    }

    /// The same for every head of one layer.
    public static func layer(_ layer: Int, each units: Int, heads: Int) -> BudgetUpdate {
        BudgetUpdate(first: layer, units: [Array(repeating: units, count: heads)])
    }

    /// The same for every head, for layers 0, 1, ...
    public static func layers(each units: [Int], heads: Int) -> BudgetUpdate {
        BudgetUpdate(first: 0, units: units.map { Array(repeating: $0, count: heads) })
    }
}
