/* A C host with a Python inside: CPython through libpython, the package kvsieve in a virtual environment, and a plan of the
 * host's own at the same time. Python looks at the host's memory; both must decide the same.
 *     embed PYTHON          the virtual environment's interpreter; the package by PYTHONPATH, KVSIEVE_LIBRARY as usual */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "fixture.h"
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char script[] =
    "import gc, numpy as np, kvsieve\n"
    "def array(memory, heads):\n"
    "    return np.frombuffer(memory, np.float32).reshape(heads, -1, dim)\n"
    "model = kvsieve.Model(layers=len(keys), query_heads=query_heads, kv_heads=kv_heads, head_dim=dim)\n"
    "plan = kvsieve.Plan(method, model)\n"
    "for number, value in settings.items():\n"
    "    plan[number] = value\n"
    "for layer in range(len(keys)):\n"
    "    between()\n"
    "    plan.observe(layer, array(queries[layer], query_heads), array(keys[layer], kv_heads), array(values[layer], kv_heads))\n"
    "plan.finish()\n"
    "offsets = [plan.kept(layer).offsets.tobytes() for layer in range(len(keys))]\n"
    "positions = [plan.kept(layer).positions.tobytes() for layer in range(len(keys))]\n"
    "rows = [plan.gather(layer, array(keys[layer], kv_heads)).tobytes() for layer in range(len(keys))]\n"
    "try:\n"
    "    plan.observe(0, array(queries[0], query_heads), array(keys[0], kv_heads))\n"
    "    error = 'none'\n"
    "except kvsieve.KVSieveError as failure:\n"
    "    error = failure.name\n"
    "plan.close()\n"
    "gc.collect()\n";

static kvsieve_plan *hosts_plan;
static sequence *s;
static int32_t observed;

/* Called by Python before each of its layers: the host works on its own plan in between. */
static PyObject *between(PyObject *self, PyObject *arguments) {
    (void)self, (void)arguments;
    EXPECT_OK(observe(hosts_plan, observed++, s));
    Py_RETURN_NONE;
}

static PyMethodDef between_definition = { "between", between, METH_NOARGS, NULL };

static void set(PyObject *names, const char *name, PyObject *value) {
    PyDict_SetItemString(names, name, value);
    Py_DECREF(value);
}

/* A list of memory views, one a layer. */
static PyObject *views(const kvsieve_tensor *tensors) {
    PyObject *list = PyList_New(LAYERS);
    for (int layer = 0; layer < LAYERS; ++layer)
        PyList_SET_ITEM(
            list, layer,
            PyMemoryView_FromMemory(tensors[layer].data, tensors[layer].heads * tensors[layer].head_stride, PyBUF_READ));
    return list;
}

/* The host's parameters, read from its plan. */
static PyObject *settings(int32_t method) {
    PyObject *values = PyDict_New();
    kvsieve_parameter_info info = { 0 };
    info.struct_size = sizeof info;
    for (int32_t i = 0; kvsieve_parameter_at(method, i, &info) == KVSIEVE_OK; ++i) {
        double value = 0;
        EXPECT_OK(kvsieve_plan_get(hosts_plan, info.id, &value));
        set(values, info.name, PyFloat_FromDouble(value));
    }
    return values;
}

static int same_bytes(PyObject *names, const char *name, int layer, const void *expected, size_t size) {
    PyObject *list = PyDict_GetItemString(names, name), *bytes = list ? PyList_GetItem(list, layer) : NULL;
    return bytes != NULL && (size_t)PyBytes_Size(bytes) == size && memcmp(PyBytes_AsString(bytes), expected, size) == 0;
}

static void python_and_host(int32_t method) {
    PyObject *names = PyDict_New(), *result, *error;
    hosts_plan = plan_new(method);
    observed = 0;
    set(names, "__builtins__", Py_NewRef(PyEval_GetBuiltins()));
    set(names, "between", PyCFunction_New(&between_definition, NULL));
    set(names, "method", PyUnicode_FromString(method_name(method)));
    set(names, "query_heads", PyLong_FromLong(QUERY_HEADS));
    set(names, "kv_heads", PyLong_FromLong(HEADS));
    set(names, "dim", PyLong_FromLong(DIM));
    set(names, "queries", views(s->queries));
    set(names, "keys", views(s->keys));
    set(names, "values", views(s->values));
    set(names, "settings", settings(method));
    result = PyRun_String(script, Py_file_input, names, names);
    if (!EXPECT(result != NULL, "Python raised an exception")) {
        PyErr_Print();
        exit(2);
    }
    Py_DECREF(result);
    EXPECT_OK(kvsieve_plan_finish(hosts_plan));
    for (int layer = 0; layer < LAYERS; ++layer) {
        kvsieve_kept kept = kept_of(hosts_plan, layer);
        kvsieve_tensor packed = tensor_new(1, kept.total, DIM, KVSIEVE_F32);
        EXPECT_OK(kvsieve_plan_gather(hosts_plan, layer, &s->keys[layer], &packed));
        EXPECT(same_bytes(names, "offsets", layer, kept.offsets, sizeof(int64_t) * (HEADS + 1)), "layer %d", layer);
        EXPECT(same_bytes(names, "positions", layer, kept.positions, sizeof(int32_t) * (size_t)kept.total), "layer %d", layer);
        EXPECT(same_bytes(names, "rows", layer, packed.data, (size_t)packed.head_stride), "layer %d", layer);
        free(packed.data);
    }
    error = PyDict_GetItemString(names, "error");
    EXPECT(error && strstr("KVSIEVE_ERR_STATE", PyUnicode_AsUTF8(error)) != NULL, "%s", error ? PyUnicode_AsUTF8(error) : "?");
    EXPECT_STATUS(kvsieve_plan_set(hosts_plan, KVSIEVE_THREADS, 1), KVSIEVE_ERR_STATE);
    kvsieve_plan_destroy(hosts_plan);
    Py_DECREF(names);
}

int main(int count, char **arguments) {
    PyConfig config;
    PyStatus status;
    if (count != 2) return 2;
    PyConfig_InitPythonConfig(&config);
    status = PyConfig_SetBytesString(&config, &config.executable, arguments[1]);
    if (!PyStatus_Exception(status)) status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status)) {
        printf("Python does not start: %s\n0 passed, 1 failed\n", status.err_msg ? status.err_msg : "?");
        return 2;
    }
    s = sequence_new(TOKENS, KVSIEVE_F32, 1);
    EVERY_METHOD (method) {
        harness_case("Python inside of a C host: %s", method_name(method));
        python_and_host(method);
    }
    harness_case("Ctrl-C still raises KeyboardInterrupt");
    EXPECT(PyRun_SimpleString("import signal\nassert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"
                              "try:\n    signal.raise_signal(signal.SIGINT)\n    raise SystemError\n"
                              "except KeyboardInterrupt:\n    pass\n")
               == 0,
           "another handler");
    harness_case("Python ends, the host's plans go on");
    hosts_plan = plan_new(KVSIEVE_DYNAMICKV);
    EXPECT_OK(observe(hosts_plan, 0, s));
    EXPECT(Py_FinalizeEx() == 0, "finalize");
    observe_range(hosts_plan, 1, LAYERS, s);
    EXPECT_OK(kvsieve_plan_finish(hosts_plan));
    EXPECT(plan_hash(hosts_plan, s, 1) == reference_hash(KVSIEVE_DYNAMICKV, s), "another result");
    kvsieve_plan_destroy(hosts_plan);
    sequence_free(s);
    return harness_end();
}
