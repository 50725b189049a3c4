// Parameters that a plan reads, whatever its method.

/// Parameters that the plan itself reads, whatever the method.
public struct PlanParameters: Sendable {
    let threads: Parameter
    let decoding: Parameter
    let share: Parameter
    let even: Parameter
    let block: Parameter
    let align: Parameter
    let mass: Parameter
    let report: Parameter
    let coarse: Parameter
    /// What a sentence calls the parameter with an id, whatever method has it.
    let name: @Sendable (Int32) -> String

    public init(
        threads: Parameter, decoding: Parameter, share: Parameter, even: Parameter, block: Parameter,
        align: Parameter, mass: Parameter, report: Parameter, coarse: Parameter,
        name: @escaping @Sendable (Int32) -> String
    ) {
        (self.threads, self.decoding) = (threads, decoding)
        (self.share, self.even, self.block) = (share, even, block)
        (self.align, self.mass, self.report, self.coarse) = (align, mass, report, coarse)
        self.name = name
    }

    /// What a sentence calls a parameter that a method does not have, and why it has not.
    func missing(_ id: Int32) -> String {
        if [share.id, even.id, block.id].contains(id) {
            return name(id) + ", as its heads keep different numbers of rows by design"
        }
        return name(id) + ([mass.id, report.id, coarse.id].contains(id) ? ", as it reads no queries" : "")
    }
}
