/* Lists the methods of the library with their parameters, by introspection: what a binding asks instead of copying. */
#include "example.h"

int main(void) {
    static const char *const kinds[] = { "", ", whole", ", odd" };
    printf("%s\n", kvsieve_build_info());
    for (int32_t index = 0; index < kvsieve_method_count(); ++index) {
        kvsieve_method_info method = { 0 };
        method.struct_size = sizeof method;
        CHECK(kvsieve_method_at(index, &method));
        printf("\n%s (%d, %s): %s; decoding %s\n", method.name, (int)method.id, method.paper, method.summary,
               method.decodes ? "evicts" : "appends");
        for (int32_t i = 0; i < method.parameters; ++i) {
            kvsieve_parameter_info parameter = { 0 };
            parameter.struct_size = sizeof parameter;
            CHECK(kvsieve_parameter_at(method.id, i, &parameter));
            printf("  %-12s %-10.10g %.10g .. %.10g%s  %s (%d)\n", parameter.name, parameter.initial, parameter.lowest,
                   parameter.highest, kinds[parameter.integral], parameter.summary, (int)parameter.id);
        }
    }
    return 0;
}
