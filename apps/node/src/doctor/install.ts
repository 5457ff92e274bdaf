import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

const installers = ['apt-get', 'dnf', 'apk', 'brew'] as const
export type Installer = (typeof installers)[number]

/** What can be missing on a machine. */
export type Missing = 'docker' | 'nvidia-smi' | 'nvidia-runtime' | 'amd-smi' | 'xpu-smi'

const nvidiaRuntime = (install: string): string =>
  `${install} nvidia-container-toolkit && nvidia-ctk runtime configure --runtime=docker && systemctl restart docker`

const commands: Readonly<Record<Installer, Readonly<Partial<Record<Missing, string>>>>> = {
  'apt-get': {
    docker: 'apt-get install -y docker.io',
    'nvidia-smi': 'apt-get install -y nvidia-driver nvidia-smi (Ubuntu: ubuntu-drivers install)',
    'nvidia-runtime': nvidiaRuntime('apt-get install -y'),
    'amd-smi': 'apt-get install -y rocm-smi',
    'xpu-smi': 'apt-get install -y xpu-smi',
  },
  dnf: {
    docker: 'dnf install -y docker && systemctl enable --now docker',
    'nvidia-runtime': nvidiaRuntime('dnf install -y'),
    'amd-smi': 'dnf install -y rocm-smi',
    'xpu-smi': 'dnf install -y xpu-smi',
  },
  apk: { docker: 'apk add docker && rc-update add docker && service docker start' },
  brew: { docker: 'brew install --cask docker' },
}

/** For where no package manager is known that has it. */
const elsewhere: Readonly<Record<Missing, string>> = {
  docker: 'install Docker Engine 20.10 or newer: https://docs.docker.com/engine/install/',
  'nvidia-smi': "install NVIDIA's driver, which brings nvidia-smi: https://www.nvidia.com/drivers",
  'nvidia-runtime': 'install the NVIDIA Container Toolkit: https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html',
  'amd-smi': 'install ROCm, which brings amd-smi: https://rocm.docs.amd.com',
  'xpu-smi': "install Intel's xpu-smi: https://github.com/intel/xpumanager",
}

export const installCommand = (missing: Missing, installer: Installer | undefined): string =>
  (installer === undefined ? undefined : commands[installer][missing]) ?? elsewhere[missing]

/** The package manager of this machine. */
export const findInstaller = (path = process.env['PATH'] ?? ''): Installer | undefined =>
  installers.find((name) => path.split(delimiter).some((folder) => isExecutable(join(folder, name))))

const isExecutable = (file: string): boolean => {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}
