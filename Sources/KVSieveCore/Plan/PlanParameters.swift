// Parameters that a plan reads, whatever its method.

/// Parameters that the plan itself reads, whatever the method.
public struct PlanParameters: Sendable {
    let threads: Parameter
    let decoding: Parameter
    let share: Parameter
    let even: Parameter
    let block: Parameter
    let align: Parameter
    /// What a sentence calls the parameter with an id, whatever method has it.
    let name: @Sendable (Int32) -> String

    public init(
        threads: Parameter, decoding: Parameter, share: Parameter, even: Parameter, block: Parameter,
        align: Parameter, name: @escaping @Sendable (Int32) -> String
    ) {
        (self.threads, self.decoding) = (threads, decoding)
        (self.share, self.even, self.block) = (share, even, block)
        self.align = align
        self.name = name
    }
}
